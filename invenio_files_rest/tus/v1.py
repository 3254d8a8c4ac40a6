"""tus 1.0 (https://tus.io/protocols/resumable-upload): core, and all extensions but trailers and unfinished parts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from flask import Response, abort, after_this_request, current_app, request
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import http_date

from ..errors import InvalidOperationError
from ..http.upload_body import parse_header_tags, parse_tags
from ..messages import lazy_gettext as _
from ..models import Bucket, Upload
from ..services.uploads.ending import abort_upload
from ..services.uploads.errors import UploadClosed
from ..services.uploads.joining import ensure_joins, join_uploads, joined_before
from ..services.uploads.plans import APPENDED
from ..services.validation import minsize_validator
from . import fields, finishing
from .errors import UnsupportedVersion, WrongType, errors_of_tus
from .mount import upload_url, version_url
from .resource import TUS, Resource, append, body_size, ensure_own, owner, raise_broken

VERSION = "1.0.0"

TYPE = "application/offset+octet-stream"
"""Media type of bodies that are bytes of an upload."""

EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "checksum",
    "expiration",
)
"""The extensions that every storage of uploads in progress has."""

PARTIAL = "partial"

_MIMETYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")

Conditions = Callable[[Bucket, str], tuple[dict[str, str], Any]]
"""Function that returns the conditions of a request for who may know whether they hold."""


def is_request() -> bool:
    """Tell whether the request is one of tus."""
    return "Tus-Resumable" in request.headers


def announce() -> None:
    """Have the answer to the request say that it is one of tus, whatever becomes of it."""

    @after_this_request
    def add_version(response: Response) -> Response:
        response.headers["Tus-Resumable"] = VERSION
        return response


def check_version(optional: bool = False) -> None:
    """Refuse other versions.

    :param optional: Whether the request need not tell its version.
    :raises UnsupportedVersion: If it is another one.
    """
    if request.headers.get("Tus-Resumable", VERSION if optional else None) != VERSION:
        raise UnsupportedVersion({"Tus-Version": VERSION})


def create(bucket: Bucket, conditions: Conditions) -> Response:
    """Begin an upload.

    :param bucket: The bucket.
    :param conditions: Function that returns the conditions of the request.
    """
    check_version()
    pairs, concat = fields.metadata(), request.headers.get("Upload-Concat", "")
    if concat not in ("", PARTIAL) and not concat.startswith(fields.FINAL):
        abort(400, description=_("Upload-Concat has to be partial, or final; and URLs."))
    if concat == PARTIAL:
        # Before all its bytes have come in vain.
        ensure_joins(bucket)
    meta = {"metadata": request.headers.get("Upload-Metadata"), "concat": concat}
    about: dict[str, Any] = {"protocol": TUS, "owner": owner(), "meta": meta}
    key = None
    if concat != PARTIAL:
        key = fields.text_of(pairs, "key", "filename")
        if key is None:
            abort(400, description=_("Upload-Metadata has to have the object's key, as key or filename."))
        mimetype = fields.text_of(pairs, "filetype")
        if mimetype and _MIMETYPE.fullmatch(mimetype):
            meta["mimetype"] = mimetype
        tags = parse_tags(pairs.get("tags", b"")) | parse_header_tags()
        about |= {"tags": tags, "conditions": conditions(bucket, key)[0]}
    if concat.startswith(fields.FINAL):
        return _join(bucket, str(key), fields.joined(concat), about)
    length = _length()
    if key is not None and length is not None:
        minsize_validator(length)
    _check_type(needed=False)
    if length != 0 and body_size() == 0:
        # The client may never learn of it.
        about["expires"] = Upload.first_expiry()
    bucket_id, digests = bucket.id, fields.checksum()
    with errors_of_tus():
        upload_id = APPENDED.begin(bucket, key, length, **about)
    headers, offset = {}, 0
    if body_size() != 0:
        try:
            with errors_of_tus():
                progress = append(upload_id, 0, digests=digests)
            if isinstance(progress.error, ClientDisconnected):
                raise progress.error
        except BaseException:
            # Nobody has been told where to go on with it.
            abort_upload(upload_id)
            raise
        offset = progress.offset
        headers["Upload-Offset"] = str(offset)
    if key is not None and offset == length:
        finishing.complete(upload_id)
    return _created(bucket_id, upload_id, headers)


def _length() -> int | None:
    length, deferred = fields.whole_number("Upload-Length"), request.headers.get("Upload-Defer-Length")
    if deferred not in (None, "1"):
        abort(400, description=_("Upload-Defer-Length has to be 1."))
    if (length is None) == (deferred is None):
        abort(400, description=_("An upload needs Upload-Length, or Upload-Defer-Length: 1."))
    return length


def _check_type(needed: bool) -> None:
    """Refuse a body of another type.

    :param needed: Whether the request needs the type also without a body.
    """
    if (needed or body_size() != 0) and request.mimetype != TYPE:
        raise WrongType(description=_("The Content-Type has to be %(type)s.", type=TYPE))


def _join(bucket: Bucket, key: str, sources: list[uuid.UUID], about: dict[str, Any]) -> Response:
    """Make an upload of others."""
    if "Upload-Length" in request.headers:
        abort(400, description=_("The length of an upload that is made of others is that of all of them."))
    bucket_id = bucket.id

    def check(source: Upload) -> None:
        ensure_own(source, bucket)
        if (source.meta or {}).get("concat") != PARTIAL:
            raise InvalidOperationError(description=_("The upload %(id)s is not a partial one.", id=source.id))

    again = joined_before(bucket, key, sources, check)
    if again is not None:
        finishing.wait(again)
        return _created(bucket_id, again, {})
    with errors_of_tus():
        upload_id = join_uploads(bucket, key, sources, check, **about)
    finishing.finish(upload_id)
    return _created(bucket_id, upload_id, {})


def _created(bucket_id: uuid.UUID, upload_id: uuid.UUID, headers: dict[str, str]) -> Response:
    headers |= {"Location": upload_url(bucket_id, upload_id), **_expiry(upload_id)}
    return _answer(201, headers)


def _answer(status: int, headers: dict[str, str]) -> Response:
    response = current_app.response_class(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def _expiry(upload_id: uuid.UUID) -> dict[str, str]:
    upload = Upload.get(upload_id)
    return {} if upload is None else {"Upload-Expires": http_date(upload.expires)}


def head(found: Resource) -> Response:
    """Tell how far an upload has come, and stop who still writes it.

    One that has all its bytes becomes a version now where that was not begun before: the client takes it for one.

    :param found: The upload.
    """
    check_version(optional=True)
    found.ensure_usable()
    concat, version = found.meta.get("concat"), found.version
    offset, length = found.length, found.length
    if not found.is_closed:
        with errors_of_tus():
            progress = APPENDED.offset(found.id, take_over=True)
        offset, length = progress.offset, progress.length
        if found.key is not None and offset == length:
            version = finishing.complete(found.id)
    headers = {"Cache-Control": "no-store", **_expiry(found.id)}
    if not (found.is_joined and version is None):
        headers["Upload-Offset"] = str(offset)
    headers |= {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    if metadata := found.meta.get("metadata"):
        headers["Upload-Metadata"] = metadata
    if concat:
        headers["Upload-Concat"] = concat
    return _answer(200, headers | _became(found, version))


def _became(found: Resource, version: uuid.UUID | None) -> dict[str, str]:
    """Return the header that leads to what an upload has become."""
    if version is None or found.key is None:
        return {}
    return {"Location": version_url(found.bucket_id, found.key, version)}


def patch(found: Resource) -> Response:
    """Append the body to an upload, and make it a version where it has all its bytes then.

    :param found: The upload.
    """
    check_version()
    _check_type(needed=True)
    if found.is_joined:
        raise InvalidOperationError(description=_("An upload that is made of others takes no bytes."))
    found.ensure_usable()
    offset, length = fields.whole_number("Upload-Offset"), fields.whole_number("Upload-Length")
    if offset is None:
        abort(400, description=_("The request needs an Upload-Offset."))
    version, expires = found.version, found.expires
    if found.is_closed:
        if body_size() != 0 or offset != found.length:
            raise UploadClosed()
        if found.waits:
            version = finishing.finish(found.id)
    else:
        if found.key is not None and length is not None:
            minsize_validator(length)
        with errors_of_tus():
            progress = append(found.id, offset, length, fields.checksum(), found.epoch)
        raise_broken(progress)
        offset, expires = progress.offset, progress.expires or expires
        if found.key is not None and offset == progress.length:
            version = finishing.complete(found.id)
    headers = {"Upload-Offset": str(offset), "Upload-Expires": http_date(expires), **_became(found, version)}
    return _answer(204, headers)


def delete(found: Resource) -> Response:
    """End an upload; what it has become stays.

    :param found: The upload.
    """
    check_version()
    abort_upload(found.id)
    return _answer(204, {})
