"""The IETF's draft *Resumable Uploads for HTTP* (draft-ietf-httpbis-resumable-upload), interop versions 3 to 8."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from flask import Response, abort, current_app, jsonify, request
from werkzeug.exceptions import ClientDisconnected

from ..http.upload_body import is_form, parse_header_tags, read_digests
from ..messages import lazy_gettext as _
from ..messages import translated
from ..models import Bucket, Upload
from ..models.base import utcnow
from ..services.uploads.access import uploads_of
from ..services.uploads.ending import abort_upload
from ..services.uploads.plans import APPENDED
from ..services.validation import minsize_validator
from . import fields, finishing, interim
from .errors import WrongType, completed_upload, errors_of_draft, inconsistent_length
from .mount import upload_url
from .resource import DRAFT, Resource, append, body_size, most, owner, raise_broken

TYPE = "application/partial-upload"
"""Media type of bodies that are bytes of an upload, since interop version 6."""

_WITH_INCOMPLETE, _WITHOUT_TYPE, _WITH_EXPIRES = 3, 5, 6
"""Interop versions: that with ``Upload-Incomplete``, the last without a media type, that with the limit ``expires``."""

Respond = Callable[[uuid.UUID], Response]
"""Function that answers with a version, as the request would that stores it in one go."""


def version() -> int | None:
    """Return the interop version of the request, where it tells."""
    return fields.integer("Upload-Draft-Interop-Version")


def completes() -> bool | None:
    """Tell whether the request has the end of the upload; ``None`` where it is none of the draft."""
    if version() == _WITH_INCOMPLETE:
        incomplete = fields.boolean("Upload-Incomplete")
        return None if incomplete is None else not incomplete
    return fields.boolean("Upload-Complete")


def limits(bucket: Bucket, upload: Upload | None = None) -> str:
    """Return the value of ``Upload-Limit``.

    :param bucket: The bucket.
    :param upload: The upload, where there is one.
    """
    limit = most(bucket, 0 if upload is None else upload.claimed)
    lifetime = current_app.config["FILES_REST_MULTIPART_EXPIRES"] if upload is None else upload.expires - utcnow()
    name = "expires" if version() == _WITH_EXPIRES else "max-age"
    members = [] if limit is None else [f"max-size={limit}"]
    return ", ".join([*members, f"{name}={max(0, int(lifetime.total_seconds()))}"])


def is_resumable(bucket: Bucket) -> bool:
    """Tell whether the request begins an upload that can be gone on with.

    It cannot where it brings the whole file and its client cannot be told where to go on, or where its digests are
    those of the whole file: then it is stored as any other.

    :param bucket: The bucket.
    """
    complete = completes()
    if complete is None or is_form(request.content_type):
        return False
    if not complete:
        return True
    if "Repr-Digest" in request.headers or "Content-MD5" in request.headers:
        return False
    return interim.is_wanted(version()) and uploads_of(bucket) is not None


def check_length() -> int | None:
    """Return the length of the upload that the request tells.

    :raises Problem: If it tells two.
    """
    length, size = fields.integer("Upload-Length"), body_size()
    if completes() and size is not None and not is_form(request.content_type):
        if length not in (None, size):
            raise inconsistent_length()
        return size
    return length


def create(bucket: Bucket, key: str, conditions: dict[str, str], respond: Respond) -> Response:
    """Begin an upload.

    :param bucket: The bucket.
    :param key: Key of the object.
    :param conditions: The conditions of the request.
    :param respond: Function that answers with a version.
    """
    length, complete = check_length(), bool(completes())
    if length is not None:
        minsize_validator(length)
    bucket_id, announced = bucket.id, limits(bucket)
    about = {"protocol": DRAFT, "owner": owner(), "tags": parse_header_tags(), "conditions": conditions}
    digests = read_digests(None, ("Content-Digest",))
    with errors_of_draft(0, announced):
        upload_id = APPENDED.begin(bucket, key, length, **about)
    headers = {"Location": upload_url(bucket_id, upload_id), "Upload-Limit": announced}
    told = interim.is_wanted(version())
    if told:
        interim.send(version(), headers)
    progress = None
    try:
        with errors_of_draft(0, announced):
            progress = append(upload_id, 0, digests=digests)
        if isinstance(progress.error, ClientDisconnected):
            raise progress.error
    except BaseException:
        if not told:
            # Nobody knows where to go on with it.
            abort_upload(upload_id)
        raise
    if complete:
        raise_broken(progress)
        return _completed(upload_id, respond, progress.offset)
    return _answer(201, {**headers, "Upload-Offset": str(progress.offset)}, complete=False)


def mark(response: Response, complete: bool) -> Response:
    """Add to an answer whether it is one of what the upload was for.

    :param response: The answer.
    :param complete: Whether it is.
    """
    if version() == _WITH_INCOMPLETE:
        response.headers["Upload-Incomplete"] = f"?{int(not complete)}"
    else:
        response.headers["Upload-Complete"] = f"?{int(complete)}"
    return response


def _answer(status: int, headers: dict[str, str], complete: bool) -> Response:
    response = current_app.response_class(status=status, headers=headers)
    del response.headers["Content-Type"]
    return mark(response, complete)


def _completed(upload_id: uuid.UUID, respond: Respond, offset: int) -> Response:
    minsize_validator(offset)
    return _final(finishing.complete(upload_id), respond, offset)


def _final(made: uuid.UUID | None, respond: Respond, offset: int) -> Response:
    """Answer an upload that has all its bytes."""
    if made is None:
        message = _("All bytes are there. The object will appear.")
        response = jsonify(status=202, message=translated(message))
        response.status_code = 202
    else:
        response = respond(made)
    response.headers["Upload-Offset"] = str(offset)
    return mark(response, complete=True)


def head(bucket: Bucket, found: Resource) -> Response:
    """Tell how far an upload has come, and stop who still writes it.

    :param bucket: The bucket.
    :param found: The upload.
    """
    found.ensure_usable()
    offset, length = found.length, found.length
    bucket_id = bucket.id
    if not found.is_closed:
        progress = APPENDED.offset(found.id, take_over=True)
        offset, length = progress.offset, progress.length
    headers = {"Cache-Control": "no-store", "Upload-Offset": str(offset), **_limits(bucket_id, found.id)}
    if length is not None:
        headers["Upload-Length"] = str(length)
    return _answer(204, headers, complete=found.version is not None)


def _limits(bucket_id: uuid.UUID, upload_id: uuid.UUID) -> dict[str, str]:
    bucket, upload = Bucket.get(bucket_id), Upload.get(upload_id)
    return {} if bucket is None else {"Upload-Limit": limits(bucket, upload)}


def patch(bucket: Bucket, found: Resource, respond: Respond) -> Response:
    """Append the body to an upload, and make it a version where the request says that this is the end.

    :param bucket: The bucket.
    :param found: The upload.
    :param respond: Function that answers with a version.
    """
    spoken, complete, offset = version(), completes(), fields.integer("Upload-Offset")
    if request.mimetype != TYPE and not (spoken is not None and spoken <= _WITHOUT_TYPE):
        raise WrongType(description=_("The Content-Type has to be %(type)s.", type=TYPE))
    if complete is None or offset is None:
        abort(400, description=_("The request needs Upload-Offset and Upload-Complete."))
    found.ensure_usable()
    if found.is_closed:
        if body_size() != 0 or offset != found.length or not complete:
            raise completed_upload()
        # The client has not heard the answer.
        made = finishing.finish(found.id) if found.waits else finishing.wait(found.id)
        return _final(made, respond, offset)
    length = fields.integer("Upload-Length")
    if complete and (size := body_size()) is not None:
        if length not in (None, offset + size):
            raise inconsistent_length()
        length = offset + size
        minsize_validator(length)
    bucket_id, digests = bucket.id, read_digests(None, ("Content-Digest",))
    with errors_of_draft(offset, limits(bucket)):
        progress = append(found.id, offset, length, digests, found.epoch)
    raise_broken(progress)
    if complete:
        return _completed(found.id, respond, progress.offset)
    return _answer(204, {"Upload-Offset": str(progress.offset), **_limits(bucket_id, found.id)}, complete=False)


def delete(found: Resource) -> Response:
    """End an upload; what it has become stays.

    :param found: The upload.
    """
    abort_upload(found.id)
    response = current_app.response_class(status=204)
    del response.headers["Content-Type"]
    return response
