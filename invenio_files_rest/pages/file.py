"""The page of a file: its versions, a preview, its tags; and its bytes."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, abort

from ..http.arguments import NOT_FOUND, Identifier, as_uuid, flag, use_kwargs
from ..http.file_response import SECURITY_HEADERS, Representation, send_stored
from ..http.talisman import keep_policy
from ..models import ObjectVersion
from ..models.folder import versions_of
from ..views.object import ObjectResource
from .bucket import render_bucket_page, usable_bucket
from .preview import IMAGE_BYTES, beginning_of, image_type, preview_of
from .rows import api_url, file_row

VERSIONS = 100
"""Number of versions that are listed, at most."""

_VERSION = {"version_id": Identifier(data_key="versionId", load_default=None)}


@use_kwargs(_VERSION, location="query")
def show_file(bucket_id: str, key: str, version_id: uuid.UUID | None = None) -> str:
    """Show a file: what it is, how it begins, its versions.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of the version to look at; the head where none is given.
    """
    access = usable_bucket(bucket_id)
    obj = ObjectResource.get_object(access.bucket, key, version_id)
    if obj.file is None:
        abort(404, description=NOT_FOUND)
    key = obj.key
    prefix = key[: key.rfind("/", 0, -1) + 1]
    lists = access.may("bucket-read", "bucket-read-versions")
    versions = versions_of(access.bucket.id, key, VERSIONS + 1) if lists else [obj]
    return render_bucket_page(
        "file.html",
        access,
        prefix,
        key=key,
        file=file_row(obj, prefix),
        obj=obj,
        tags_found=obj.get_tags(),
        preview=preview_of(obj),
        versions=[(version, file_row(version, prefix)) for version in versions[:VERSIONS]],
        more_versions=len(versions) > VERSIONS,
        file_api=api_url(access.bucket.id, key),
    )


@use_kwargs({**_VERSION, "preview": flag("preview")}, location="query")
def download(bucket_id: str, key: str, version_id: uuid.UUID | None = None, preview: Any = None) -> Response:
    """Send a file, for the browser to save, or an image to show in a page.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of a version; the head where none is given.
    :param preview: Set to show an image.
    """
    obj = ObjectResource.get_object(as_uuid(bucket_id), key, version_id)
    return ObjectResource.send_object(obj.bucket, obj, as_attachment=True) if preview is None else _send_image(obj)


def _send_image(obj: ObjectVersion) -> Response:
    """Send an image under the type that its bytes say, from wherever it is stored."""
    if obj.file is None or (obj.file.size or 0) > IMAGE_BYTES:
        abort(404, description=NOT_FOUND)
    mimetype = image_type(beginning_of(obj, 16))
    if mimetype is None:
        abort(404, description=NOT_FOUND)
    response = send_stored(
        obj.file.storage().open,
        Representation(size=obj.file.size, mimetype=mimetype, etag=obj.file.checksum, trusted=True),
    )
    response.headers.extend(SECURITY_HEADERS)
    keep_policy(SECURITY_HEADERS["Content-Security-Policy"], SECURITY_HEADERS["X-Frame-Options"])
    return response
