"""What there is for a bucket, as ``OPTIONS`` tells."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app

from ..models import Bucket
from ..models.upload import DONE, OPEN
from ..services.uploads.access import uploads_of
from ..services.uploads.plans import APPENDED
from . import draft, fields, v1
from .mount import upload_url, version_url
from .resource import Resource, most


def options(bucket: Bucket | None, with_tus: bool) -> Response:
    """Tell what there is.

    :param bucket: The bucket; ``None`` where the caller may not store anything in it.
    :param with_tus: Whether uploads of tus can begin there.
    """
    response: Response = current_app.make_default_options_response()
    # It has no body.
    del response.headers["Content-Type"]
    capability = None if bucket is None else uploads_of(bucket)
    if bucket is None or capability is None:
        return response
    response.headers["Upload-Limit"] = draft.limits(bucket)
    if with_tus:
        extensions = [*v1.EXTENSIONS, *(["concatenation"] if capability.joins else [])]
        response.headers["Tus-Resumable"] = response.headers["Tus-Version"] = v1.VERSION
        response.headers["Tus-Extension"] = ",".join(extensions)
        response.headers["Tus-Checksum-Algorithm"] = ",".join(fields.CHECKSUM_ALGORITHMS)
        if (limit := most(bucket)) is not None:
            response.headers["Tus-Max-Size"] = str(limit)
    return response


def describe(found: Resource) -> dict[str, Any]:
    """Return what people may want to know of an upload; whoever writes it is left alone.

    :param found: The upload.
    """
    offset = found.length if found.is_closed else None
    if found.status == OPEN:
        found.ensure_usable()
        offset = APPENDED.offset(found.id).offset
    links = {"self": upload_url(found.bucket_id, found.id)}
    if found.status == DONE and found.key is not None:
        links["version"] = version_url(found.bucket_id, found.key, found.version_id)
    return {
        "id": str(found.id),
        "key": found.key,
        "protocol": found.protocol,
        "status": found.status,
        "reason": found.reason,
        "offset": offset,
        "length": found.length,
        "expires": found.expires.isoformat(),
        "links": links,
    }
