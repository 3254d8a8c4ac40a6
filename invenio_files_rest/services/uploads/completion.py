"""Completing an upload: its bytes become a file, and the file a version of its object.

There are two steps, since the second may take long, and nothing that was acknowledged may be lost if the process is
killed. :func:`begin_completion` records in the database that no more bytes are taken, and which extents the file
consists of. :func:`finish_upload` does the rest, in the request or in a task, and can be repeated until it succeeds.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ...errors import (
    BucketDeletedError,
    BucketLockedError,
    FileSizeError,
    InvalidOperationError,
    PreconditionFailed,
    StorageError,
)
from ...messages import lazy_gettext as _
from ...models import FileInstance, ObjectVersion, Upload, UploadExtent, as_object_version
from ...models.upload import COMPLETING, DONE, FAILED
from ...signals import file_uploaded, notify
from ...storage.uploads import Receipt, State, Stored
from ..conditions import check_write_conditions
from ..presence import ensure_reachable
from ..transactions import in_transaction, release_connection
from .access import Backend, backend, ensure_open, held
from .ending import end_sources, fail, remove_all, remove_bytes
from .errors import UploadBusy, UploadClosed, UploadGone, why_it_failed

TOUCH_SECONDS = 60.0
"""Interval in seconds at which an upload is marked as still being completed."""

LOCKED = _("The bucket is locked. All bytes are kept, and become the object once it is not, until the upload expires.")
"""What is said of an upload that waits for its bucket to be unlocked."""


class Chooser(Protocol):
    """A plan, which knows which extents the file consists of."""

    name: str

    def chosen(self, upload: Upload, extents: list[UploadExtent], numbers: list[int] | None) -> list[UploadExtent]:
        """Return the extents that the file consists of."""
        ...


class _Work(NamedTuple):
    state: State
    receipts: list[Receipt]
    digests: dict[str, str]
    """Digests of the whole file, if known."""

    sources: list[uuid.UUID]
    """The uploads that have the bytes of each receipt, if those are others."""

    states: dict[uuid.UUID, State]
    """The states of these, and of others without bytes."""


def begin_completion(plan: Chooser, upload_id: uuid.UUID, numbers: list[int] | None = None) -> None:
    """Take no more bytes for an upload, and commit. Doing it again changes nothing.

    :param plan: The plan of the upload.
    :param upload_id: Identifier of the upload.
    :param numbers: Numbers of the extents that the file is made of, where the plan has the client name them.
    :raises UploadIncomplete: If bytes are missing.
    :raises PreconditionFailed: If a condition of the upload does not hold.
    :raises UploadGone: If the upload does not exist, or has expired.
    :raises UploadClosed: If it has failed.
    """

    def begin() -> PreconditionFailed | None:
        upload = held(upload_id)
        if upload.status in (COMPLETING, DONE):
            return None
        ensure_open(upload)
        if upload.key is None:
            raise InvalidOperationError(description=_("The upload has no key to become an object of."))
        chosen = plan.chosen(upload, UploadExtent.recorded(upload_id), numbers)
        try:
            if upload.conditions:
                check_write_conditions(upload.conditions, ObjectVersion.get(upload.bucket_id, upload.key))
        except PreconditionFailed as error:
            if upload.plan != "appended":
                # The client may complete it once the condition holds.
                raise
            fail(upload, str(error.description))
            return error
        upload.status = COMPLETING
        UploadExtent.forget(upload_id, *(extent.number for extent in chosen))
        upload.length = total = sum(extent.size for extent in chosen)
        upload.claim(total, total)
        return None

    release_connection()
    failure = in_transaction(begin)
    if failure is not None:
        remove_bytes(upload_id)
        raise failure


def finish_upload(upload_id: uuid.UUID, progress: Callable[[int | None, int], Any] | None = None) -> uuid.UUID:
    """Turn an upload that takes no more bytes into a version, and commit. A second run finds the version.

    :param upload_id: Identifier of the upload.
    :param progress: Called with the size of the file and the number of bytes done.
    :returns: Identifier of the version.
    :raises PreconditionFailed: If a condition of the upload does not hold any more; it has failed then.
    :raises BucketLockedError: If the bucket is locked. It may be tried again until the upload expires.
    :raises UploadGone: If there is no such upload.
    :raises UploadClosed: If it has failed.
    :raises UploadBusy: If somebody writes still, who has been told to stop.
    :raises StorageError: If the storage fails, or the location is away. It may be tried again.
    """
    work = in_transaction(lambda: _look(upload_id))
    return work if isinstance(work, uuid.UUID) else _finish(upload_id, work, progress)


def finish_promptly(upload_id: uuid.UUID, most: int) -> uuid.UUID | None:
    """Do what :func:`finish_upload` does, unless that takes long.

    :param upload_id: Identifier of the upload.
    :param most: Number of bytes that may have to be read.
    :returns: Identifier of the version; ``None`` if there are more bytes to read.
    """
    work = in_transaction(lambda: _look(upload_id))
    if isinstance(work, uuid.UUID):
        return work
    store = backend(upload_id, work.state)
    if store.uploads.to_read(work.state, work.receipts, _checksum(store, work)) > most:
        return None
    return _finish(upload_id, work)


def _finish(upload_id: uuid.UUID, work: _Work, progress: Callable[[int | None, int], Any] | None = None) -> uuid.UUID:
    release_connection()
    store = backend(upload_id, work.state)
    joined = {"sources": [backend(each, work.states[each]).uploads for each in work.sources]} if work.sources else {}
    touched = time.monotonic()

    def tell(size: int | None, done: int) -> None:
        nonlocal touched
        if time.monotonic() - touched > TOUCH_SECONDS:
            # Otherwise it might be taken for forgotten.
            touched = time.monotonic()
            in_transaction(lambda: Upload.hold(upload_id))
        if progress is not None:
            progress(size, done)

    try:
        stored = store.uploads.finish(
            work.state, work.receipts, checksum=_checksum(store, work), progress=tell, **joined
        )
    except TimeoutError as error:
        raise UploadBusy() from error
    except FileNotFoundError as error:
        return made_meanwhile(lambda: _look(upload_id), work.state["uri"], error)
    try:
        version = in_transaction(lambda: _record(upload_id, stored))
    except BucketLockedError as error:
        in_transaction(lambda: _postpone(upload_id))
        raise BucketLockedError(description=LOCKED) from error
    except _FINAL as error:
        reason = str(error.description)
        in_transaction(lambda: fail(held(upload_id), reason))
        remove_bytes(upload_id)
        remove_all(work.states.items())
        raise
    if version is None:
        return _found(upload_id, store.uploads.abort, work.state)
    remove_all(work.states.items())
    notify(file_uploaded, version)
    return version.version_id


def _look(upload_id: uuid.UUID) -> _Work | uuid.UUID:
    """Return what there is to do for an upload, or the identifier of the version where that is done."""
    upload = Upload.get(upload_id)
    if upload is None:
        return made(uuid.uuid5(upload_id, "version"))
    if upload.status == DONE:
        return upload.version_id
    if upload.status != COMPLETING:
        raise UploadClosed(description=why_it_failed(upload.reason) if upload.reason else None)
    if upload.sources:
        return _joined(upload)
    extents = UploadExtent.recorded(upload_id)
    digests = extents[0].digests if len(extents) == 1 else None
    return _Work(upload.state, [extent.receipt for extent in extents], digests or {}, [], {})


def _joined(upload: Upload) -> _Work:
    """Return what there is to do for an upload that is made of others."""
    states = {source.id: source.state for each in upload.sources if (source := Upload.get(each)) is not None}
    receipts = {extent.upload_id: extent.receipt for extent in UploadExtent.recorded(*states)}
    order = [each for each in upload.sources if each in receipts]
    if sum(receipts[each]["size"] for each in order) != upload.length:
        raise StorageError(f"The uploads that {upload.id} is made of have not all of its bytes.")
    return _Work(upload.state, [receipts[each] for each in order], {}, order, states)


def _checksum(store: Backend, work: _Work) -> str | None:
    """Return the checksum that the file will have, where that is known."""
    algorithm, _ = store.new_digest()
    return f"{algorithm}:{work.digests[algorithm]}" if algorithm in work.digests else None


_FINAL = (PreconditionFailed, BucketDeletedError, FileSizeError, InvalidOperationError)
"""Errors after which an upload can no longer become a version."""


def _record(upload_id: uuid.UUID, stored: Stored) -> ObjectVersion | None:
    """Add the version; return ``None`` if another process has done so, or the upload was aborted."""
    upload = Upload.hold(upload_id, Upload.status == COMPLETING)
    if upload is None:
        return None
    end_sources(upload)
    # Released, since recording the version claims its size.
    upload.claim(0, 0)
    file = FileInstance(id=upload_id, last_check=True)
    file.set_uri(stored.uri, stored.size, stored.checksum, storage_class=upload.storage_class)
    version = ObjectVersion.record(
        upload.bucket_id,
        upload.key,
        file,
        mimetype=(upload.meta or {}).get("mimetype"),
        version_id=upload.version_id,
        tags=upload.tags,
        precondition=lambda head: check_write_conditions(upload.conditions or {}, head),
    )
    upload.status, upload.reason = DONE, None
    upload.length = stored.size
    upload.used()
    UploadExtent.forget(upload_id)
    return version


def _postpone(upload_id: uuid.UUID) -> None:
    """Note that an upload waits, unless another process has ended it."""
    upload = Upload.hold(upload_id, Upload.status == COMPLETING)
    if upload is not None:
        upload.reason = str(LOCKED)


def _found(upload_id: uuid.UUID, abort: Callable[[State], None], state: State) -> uuid.UUID:
    """Return the version that another process has added in the meantime, or remove the file if it is not needed."""

    def look() -> str | None:
        upload = Upload.get(upload_id)
        return upload and str(upload.status)

    status = in_transaction(look)
    if status == DONE:
        return uuid.uuid5(upload_id, "version")
    if status is None and FileInstance.get(upload_id) is not None:
        return made(uuid.uuid5(upload_id, "version"))
    if status in (None, FAILED):
        abort(state)
    raise UploadGone() if status is None else UploadClosed()


def made(version_id: uuid.UUID) -> uuid.UUID:
    """Return the identifier of a version whose upload has been forgotten.

    :param version_id: The identifier that it has.
    :raises UploadGone: If there is none.
    """
    if as_object_version(version_id) is None:
        raise UploadGone()
    return version_id


def made_meanwhile(look: Callable[[], Any], uri: str, error: FileNotFoundError) -> uuid.UUID:
    """Return the identifier of the version that somebody else has made while the bytes were looked for.

    :param look: Returns, in a transaction, the identifier, or something else where there is work to do still.
    :param uri: URI of the file.
    :param error: Why there are no bytes, which is raised where nothing explains it.
    :raises LocationAwayError: If the location is away.
    """
    found = in_transaction(look)
    if isinstance(found, uuid.UUID):
        return found
    in_transaction(lambda: ensure_reachable(uri))
    raise error
