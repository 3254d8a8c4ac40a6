"""``/files/<bucket>/<key>?uploads`` and ``?uploadId=``: an object that arrives in parts."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.result import EagerResult
from flask import Response, abort, current_app, request
from webargs import fields
from werkzeug.exceptions import HTTPException

from ..errors import MissingQueryParameter, MultipartAlreadyCompleted, MultipartNoPart, PreconditionFailed
from ..http.arguments import NOT_FOUND, WholeNumber, refuse_misspelt_fields, refuse_stray_arguments, use_kwargs
from ..http.bodies import request_body
from ..http.upload_body import early_file, is_form, read_digests
from ..http.waiting import NOT_MERGED, once_done
from ..keys import key_with_encoded_dots
from ..messages import lazy_gettext as _
from ..models import Bucket, MultipartObject, ObjectVersion, Part
from ..permissions import permitted
from ..proxies import current_files_rest
from ..services.dispatch import task_named
from ..services.transactions import release_connection
from ..services.uploads.direct import direct_links
from ..services.uploads.plans import FIXED
from ..storage.pump import VerifiedStream
from .decorators import need_permissions


def pass_multipart(with_completed: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Pass the multipart upload that ``uploadId`` names, as ``multipart``.

    :param with_completed: Whether it may be completed.
    """

    def decorator(f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def inner(self: Any, bucket: Bucket, key: str, upload_id: uuid.UUID, *args: Any, **kwargs: Any) -> Any:
            upload = MultipartObject.get(bucket, key, upload_id, with_completed=with_completed)
            if upload is None and (meant := key_with_encoded_dots(key)) is not None:
                upload = MultipartObject.get(bucket, meant, upload_id, with_completed=with_completed)
            if upload is None:
                abort(404, description=NOT_FOUND)
            return f(self, upload, *args, **kwargs)

        return inner

    return decorator


@use_kwargs(
    {
        "part_number": WholeNumber(data_key="partNumber", load_default=None),
        "part": WholeNumber(load_default=None),
    },
    location="query",
)
@use_kwargs(
    {
        "content_length": WholeNumber(data_key="Content-Length", load_default=None),
        "content_type": fields.String(data_key="Content-Type", load_default=""),
        "content_md5": fields.String(data_key="Content-MD5", load_default=None),
    },
    location="headers",
)
def default_partfactory(
    part_number: int | None = None,
    content_length: int | None = None,
    content_type: str | None = None,
    content_md5: str | None = None,
    part: int | None = None,
) -> tuple[int | None, int | None, Any, str | None, str | None]:
    """Take the body as a part, unless it is ``multipart/form-data``.

    :param part_number: Value of ``partNumber`` in the query.
    :param content_length: Value of ``Content-Length``, in bytes.
    :param content_type: Value of ``Content-Type``.
    :param content_md5: Value of ``Content-MD5``.
    :param part: Value of ``part``, which the documentation's table has for ``partNumber``.
    :returns: The length in bytes, the part's number, the stream, the content type, and the ``Content-MD5``.
    """
    number = part if part_number is None else part_number
    if number is None or is_form(content_type):
        return None, None, None, None, None
    return content_length, number, request_body(request.environ), content_type, content_md5


@use_kwargs({"content_type": fields.String(data_key="Content-Type", load_default="")}, location="headers")
@use_kwargs(
    {
        "part_number": WholeNumber(data_key="_chunkNumber", load_default=None),
        "content_length": WholeNumber(data_key="_currentChunkSize", load_default=None),
    },
    location="form",
)
@use_kwargs({"uploaded_file": fields.Raw(data_key="file", load_default=None)}, location="files")
def ngfileupload_partfactory(
    part_number: int | None = None,
    content_length: int | None = None,
    uploaded_file: Any = None,
    content_type: str | None = None,
) -> tuple[int | None, int | None, Any, str | None, str | None]:
    """Take the field ``file`` of a form as a part, as ng-file-upload sends it.

    :param part_number: Value of the field ``_chunkNumber``.
    :param content_length: Value of the field ``_currentChunkSize``, in bytes.
    :param uploaded_file: The field ``file``.
    :param content_type: Value of the header ``Content-Type``.
    :returns: The length in bytes, the part's number, the stream, the content type, and no ``Content-MD5``.
    :raises MultipartNoPart: If a form lacks one of the fields.
    """
    if not is_form(content_type):
        return None, None, None, None, None
    refuse_misspelt_fields()
    if uploaded_file is None:
        raise MultipartNoPart(description=_("The form has no field named file."))
    if part_number is None:
        raise MultipartNoPart(
            description=_("The form has no field named _chunkNumber, which has to come before the file.")
        )
    if request.args.get("partNumber", str(part_number)) != str(part_number):
        abort(
            400,
            description=_(
                "The field _chunkNumber is %(part_number)s, which the argument partNumber contradicts.",
                part_number=str(part_number),
            ),
        )
    return content_length, part_number, early_file(uploaded_file), uploaded_file.content_type, None


def _log_failure(result: EagerResult, upload_id: uuid.UUID) -> None:
    """Log a merge that failed at once, for there is no worker that would."""
    if result.failed() and not isinstance(result.result, PreconditionFailed):
        current_app.logger.error("The merge of upload %s failed.", upload_id, exc_info=result.result)


def _announced() -> dict[int, str]:
    """Return the checksums of parts that a client says it has sent to the storage, by their numbers."""
    if not (request.is_json and request.content_length):
        return {}
    try:
        return {int(part["part_number"]): str(part["checksum"]) for part in request.get_json().get("parts", ())}
    except (AttributeError, KeyError, TypeError, ValueError):
        abort(400, description=_("The parts have to be a list of objects with part_number and checksum."))


class MultipartMixin:
    """What an object's resource does with multipart uploads."""

    make_response: Callable[..., Response]
    readable_conditions: Callable[[Bucket, str], tuple[dict[str, str], ObjectVersion | None]]

    @use_kwargs({"size": WholeNumber(), "part_size": WholeNumber(data_key="partSize")}, location="query_or_json")
    def multipart_init(
        self, bucket: Bucket, key: str, size: int | None = None, part_size: int | None = None
    ) -> Response:
        """Begin a multipart upload.

        The request's conditions are judged now, and not kept: what has to hold at the end is said at the end.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param size: Size of the file, in bytes.
        :param part_size: Size of a part, in bytes.
        :raises MissingQueryParameter: If either is missing.
        """
        if size is None:
            raise MissingQueryParameter("size")
        if part_size is None:
            raise MissingQueryParameter("partSize")
        conditions, _ = self.readable_conditions(bucket, key)
        upload = FIXED.begin(bucket, key, size, part_size=part_size, conditions=conditions)
        context = {"class": MultipartObject, "bucket": bucket, "direct": direct_links(upload)}
        return self.make_response(data=upload, context=context)

    @pass_multipart(with_completed=True)
    def multipart_uploadpart(self, multipart: MultipartObject) -> Response:
        """Store a part.

        :param multipart: The upload.
        :raises MultipartAlreadyCompleted: If it takes no more parts; the body is not read.
        """
        if multipart.completed:
            raise MultipartAlreadyCompleted()
        size, part_number, stream, _, content_md5, *_ = current_files_rest.multipart_partfactory()
        if stream is None:
            abort(400, description=_("The request has no part: a body needs a Content-Length, or to be chunked."))
        digests = read_digests(content_md5)
        if digests:
            stream = VerifiedStream(stream, digests)
        part = FIXED.write(multipart, part_number, stream, size=size)
        return self.make_response(data=part, context={"class": Part}, etag=part.checksum)

    @pass_multipart(with_completed=True)
    @need_permissions(lambda self, multipart: multipart, "multipart-read")
    def multipart_listparts(self, multipart: MultipartObject) -> Response:
        """Show an upload and its parts.

        :param multipart: The upload.
        """
        parts = Part.query_by_multipart(multipart).all()
        # Whoever has a link sends parts.
        may_send = current_app.config["FILES_REST_S3_DIRECT_UPLOAD"] and permitted([multipart.bucket], "bucket-update")
        direct = direct_links(multipart, {part.part_number for part in parts}) if may_send else None
        context = {"class": Part, "multipart": multipart, "many": True, "direct": direct}
        return self.make_response(data=parts, context=context)

    @pass_multipart(with_completed=True)
    def multipart_complete(self, multipart: MultipartObject) -> Response:
        """Complete an upload: have its parts made a version, and wait for that.

        An upload that is completed, but whose merge never ended, is merged again.

        The request's conditions are judged now and, under the lock of the bucket, when the version is recorded; where
        they do not hold then, the upload is open again.

        :param multipart: The upload.
        """
        conditions, _ = self.readable_conditions(multipart.bucket, multipart.key)
        FIXED.close(multipart, conditions, _announced())
        upload_id, version_id = multipart.upload_id, multipart.version_id
        context = {"class": MultipartObject, "object_version_id": version_id}
        response = self.make_response(data=multipart, context=context)
        release_connection()
        try:
            # Workers of 6.1 take no conditions: they shall have what they can do.
            with_conditions = {"conditions": conditions} if conditions else {}
            result = task_named("merge_multipartobject").delay(str(upload_id), str(version_id), **with_conditions)
            if isinstance(result, EagerResult):
                _log_failure(result, upload_id)
        except HTTPException:
            raise
        except Exception:
            current_app.logger.exception("The merge of upload %s could not be sent, or failed at once.", upload_id)
            abort(503, description=NOT_MERGED)
        return once_done(response, result, version_id, upload_id)

    @pass_multipart(with_completed=True)
    @need_permissions(lambda self, multipart: multipart, "multipart-delete")
    def multipart_delete(self, multipart: MultipartObject) -> Response:
        """Abort an upload.

        :param multipart: The upload.
        """
        refuse_stray_arguments("uploadId")
        FIXED.abort(multipart)
        return self.make_response(None, 204)
