"""``POST /files/<bucket>?extract``: the files of an archive as objects."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from flask import Response, abort, request

from ..archives.incoming.entries import entries_of_file, entries_of_stream
from ..http.arguments import NOT_FOUND, PAGE, Identifier, refuse_stray_arguments, use_kwargs
from ..http.bodies import request_body
from ..http.json_streams import contents_response
from ..http.links import object_urls
from ..http.preconditions import write_conditions
from ..http.schemas import schema_of
from ..http.upload_body import parse_header_tags, read_digests
from ..messages import lazy_gettext as _
from ..models import Bucket, MultipartObject
from ..models.manifest import Manifest
from ..services.extraction import extract
from ..services.transactions import in_transaction
from ..services.uploads.plans import FIXED
from ..storage import VerifiedStream
from .decorators import (
    actions_of_conditions,
    ensure_acceptable,
    ensure_input_stream_is_not_exhausted,
    ensure_unlocked,
    need_bucket_permission,
    pass_bucket,
    refuse_body,
)
from .object import ObjectResource

ARGUMENTS = {
    "prefix": PAGE["prefix"],
    "upload_id": Identifier(data_key="uploadId", load_default=None),
}
"""Arguments of an archive that is taken apart."""


class ExtractionMixin:
    """What a bucket's resource does with archives that are taken apart."""

    def post(self, **kwargs: Any) -> Response:
        """Take an archive apart, or do what a request of an upload wants."""
        if "extract" in request.args:
            return self.extract(**kwargs)
        answer: Response = super().post(**kwargs)  # type: ignore[misc]
        return answer

    @pass_bucket
    @need_bucket_permission("bucket-update", along=actions_of_conditions)
    @ensure_unlocked
    @use_kwargs(ARGUMENTS, location="query")
    @ensure_acceptable
    @ensure_input_stream_is_not_exhausted
    def extract(self, bucket: Bucket, upload_id: uuid.UUID | None = None, prefix: str = "") -> Response:
        """Store the files of an archive as objects.

        :param bucket: The bucket.
        :param upload_id: Identifier of a multipart upload that is the archive; without it, the body is.
        :param prefix: What each key begins with.
        """
        if_absent = _if_absent(bucket, prefix)
        tags = parse_header_tags()
        bucket_id = bucket.id
        if upload_id is not None:
            refuse_stray_arguments("extract", "prefix", "uploadId")
            refuse_body()
            return _answer(bucket_id, _extract_upload(bucket, upload_id, prefix, tags, if_absent))
        refuse_stray_arguments("extract", "prefix")
        stream: Any = request_body(request.environ)
        if stream is None:
            abort(400, description=_("The request has no archive: a body needs a Content-Length, or to be chunked."))
        if digests := read_digests(request.headers.get("Content-MD5")):
            stream = VerifiedStream(stream, digests)
        return _answer(bucket_id, extract(bucket, entries_of_stream(stream), prefix, tags, if_absent))


def _if_absent(bucket: Bucket, prefix: str) -> bool:
    """Return whether the request has the only condition that it can have: that there is none of the objects.

    :raises werkzeug.exceptions.BadRequest: If it has another condition.
    :raises werkzeug.exceptions.NotFound: If the current identity may not know which objects there are.
    """
    conditions = write_conditions(request)
    if not conditions:
        return False
    if {name: value.strip() for name, value in conditions.items()} != {"If-None-Match": "*"}:
        abort(400, description=_("The only condition for an archive is If-None-Match: *."))
    ObjectResource.check_read_permission(bucket, prefix, None)
    return True


def _extract_upload(
    bucket: Bucket, upload_id: uuid.UUID, prefix: str, tags: Mapping[str, str], if_absent: bool
) -> Manifest:
    """Take apart an upload that has all its parts. It is gone as soon as there are the objects.

    After an error it is as it was before.
    """
    upload = MultipartObject.find(upload_id)
    if upload is None or upload.bucket_id != bucket.id:
        abort(404, description=NOT_FOUND)
    size, was_open = upload.size, not upload.completed
    FIXED.close(upload_id)
    removed: list[uuid.UUID] = []

    def remove() -> None:
        # One that others have opened again may have other bytes than those that were read.
        removed[:] = [FIXED.remove(upload_id, MultipartObject.completed)]

    try:
        with closing(FIXED.open(upload)) as file:
            manifest = extract(bucket, entries_of_file(file, size), prefix, tags, if_absent, remove)
    except BaseException:
        if was_open:
            in_transaction(lambda: MultipartObject.reopen(upload_id))
        raise
    FIXED.remove_bytes(removed[0])
    return manifest


def _answer(bucket_id: uuid.UUID, manifest: Manifest) -> Response:
    def shown() -> Iterator[dict[str, Any]]:
        for new in manifest:
            url, with_identifier = object_urls(bucket_id, new.key)
            yield {
                "key": new.key,
                "version_id": str(new.version_id),
                "size": new.size,
                "checksum": new.checksum,
                "links": {"self": url, "version": f"{with_identifier}?versionId={new.version_id}"},
            }

    def describe() -> dict[str, Any]:
        bucket = Bucket.get(bucket_id)
        return {} if bucket is None else dict(schema_of(Bucket, {}).dump(bucket))

    with closing(manifest):
        return contents_response(shown(), describe)
