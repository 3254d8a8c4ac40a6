"""An upload as a resource: whose it is, how far it has come, and how bytes of a request get into it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from flask import abort, current_app, request
from flask_login import current_user
from werkzeug.exceptions import ClientDisconnected

from ..http.bodies import keeps_what_came, request_body
from ..http.interruption import interrupter
from ..messages import lazy_gettext as _
from ..models import Bucket, Upload, UploadExtent
from ..models.base import utcnow
from ..models.upload import COMPLETING, DONE, FAILED, JOINED, OPEN
from ..proxies import current_permission_factory
from ..services.transactions import release_connection
from ..services.uploads.errors import UploadExpired, UploadGone, why_it_failed
from ..services.uploads.interface import Progress
from ..services.uploads.joining import PLAN as JOINED_PLAN
from ..services.uploads.plans import APPENDED
from ..services.uploads.runs import RUN
from ..storage.pump import VerifiedStream

TUS, DRAFT = "tus", "draft"
"""Names of the protocols, as uploads have them."""


class Resource(NamedTuple):
    """An upload as it was found."""

    id: uuid.UUID
    bucket_id: uuid.UUID
    key: str | None
    protocol: str
    plan: str
    length: int | None
    status: str
    reason: str | None
    expires: datetime
    meta: dict[str, Any]
    version_id: uuid.UUID
    epoch: int | None
    """Epoch of its run; ``None`` where that has not been written yet."""

    @property
    def is_joined(self) -> bool:
        """Whether it is made of others."""
        return self.plan == JOINED_PLAN

    @property
    def is_closed(self) -> bool:
        """Whether it has all its bytes, and takes no more, also if another upload is made of it."""
        return self.status in (COMPLETING, DONE, JOINED)

    @property
    def waits(self) -> bool:
        """Whether it has all its bytes, but its bucket was locked when it was to become a version."""
        return self.status == COMPLETING and self.reason is not None

    @property
    def version(self) -> uuid.UUID | None:
        """Identifier of the version that it has become."""
        return self.version_id if self.status == DONE else None

    def ensure_usable(self) -> None:
        """Refuse to go on with one that is nothing any more.

        :raises UploadExpired: If it has expired, or failed: the description tells why.
        """
        if self.status == FAILED:
            raise UploadExpired(description=why_it_failed(self.reason))
        if self.status == OPEN and self.expires < utcnow():
            raise UploadExpired()


def owner() -> str | None:
    """Return who makes the request, as it is kept with an upload; ``None`` for anonymous callers."""
    manager = getattr(current_app, "login_manager", None)
    # Flask-Login raises where an application has it, and has told it of no way to find a user.
    if manager is None or not (manager._user_callback or manager._request_callback):
        return None
    if not current_user.is_authenticated:
        return None
    return str(getattr(current_user, "id", None) or current_user.get_id())


def find(bucket: Bucket, upload_id: uuid.UUID) -> Resource:
    """Return an upload of the caller's, or of somebody else's for who may read uploads in progress.

    :param bucket: The bucket.
    :param upload_id: Identifier of the upload.
    :raises UploadGone: If there is none, or it is hidden.
    """
    upload, epoch = UploadExtent.with_upload(upload_id, RUN) or (None, None)
    if upload is None or upload.bucket_id != bucket.id or upload.protocol not in (TUS, DRAFT):
        raise UploadGone()
    ensure_own(upload, bucket)
    columns = {name: getattr(upload, name) for name in Resource._fields if name not in ("meta", "epoch")}
    return Resource(**columns, meta=upload.meta or {}, epoch=epoch)


def ensure_own(upload: Upload, bucket: Bucket) -> None:
    """Hide an upload from others than who has begun it, unless they may read uploads in progress.

    :param upload: The upload.
    :param bucket: Its bucket.
    :raises UploadGone: If it is hidden.
    """
    if upload.owner != owner():
        permission = current_permission_factory(bucket, "multipart-read")
        if permission is not None and not permission.can():
            raise UploadGone()


def most(bucket: Bucket, claimed: int = 0) -> int | None:
    """Return how large an upload to a bucket may be, in bytes; ``None`` where there is no limit.

    :param bucket: The bucket.
    :param claimed: Bytes that it counts for already.
    """
    limit = bucket.size_limit_before(claimed)
    return None if limit is None or limit.limit is None else max(0, int(limit.limit))


def body_size() -> int | None:
    """Return the size of the body in bytes, ``None`` where only its end will tell."""
    if request.content_length is not None:
        return request.content_length
    return None if "chunked" in request.headers.get("Transfer-Encoding", "").lower() else 0


def append(
    upload_id: uuid.UUID,
    offset: int,
    length: int | None = None,
    digests: Mapping[str, bytes] | None = None,
    epoch: int | None = None,
) -> Progress:
    """Append the body of the request to an upload. What comes of one that breaks stays, unless it has digests.

    :param upload_id: Identifier of the upload.
    :param offset: Offset that the request has, in bytes.
    :param length: Length of the upload that the request has.
    :param digests: Raw digests of the body, by the names of their algorithms.
    :param epoch: Epoch of the upload as it was found.
    """
    size = body_size()
    stream: Any = io.BytesIO() if size == 0 else request_body(request.environ)
    if stream is None:
        abort(400, description=_("The end of the body cannot be told: it needs a Content-Length."))
    if digests:
        stream = VerifiedStream(stream, dict(digests), size)
    release_connection()
    return APPENDED.write(
        upload_id,
        offset,
        stream,
        size=size,
        length=length,
        whole=bool(digests),
        shut=interrupter(request.environ),
        lossless=keeps_what_came(request.environ),
        epoch=epoch,
    )


def raise_broken(progress: Progress) -> None:
    """Say so where a body did not come to its end.

    :param progress: What came of it.
    :raises werkzeug.exceptions.ClientDisconnected: If it broke, or what else reading it came to.
    """
    if progress.error is not None:
        raise progress.error
    if progress.broken:
        raise ClientDisconnected(_("The body of the request ended too early. What came of it was kept."))
