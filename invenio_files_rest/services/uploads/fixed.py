"""*Fixed parts*: parts of one size, of a known total, in the tables that 6.1 knows, and in the file from the beginning.

A part is in the file when it has a row. Whoever sends it holds its region of the file, takes the row away, writes, and
puts the row back, so that no row ever stands for bytes that somebody is writing. Of a body that fails, the row is put
back too where the region has the same bytes as before: a request that broke, and that the server only gets to after the
client has sent the part again, takes nothing away. The tables have no epoch, and 6.1,
which may serve the same ones, would raise none: who sends the same part waits for the region, and nobody is told to
stop.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from flask import current_app

from ...checksums import compute_checksum, new_digest
from ...errors import (
    MultipartAlreadyCompleted,
    MultipartInvalidChunkSize,
    MultipartInvalidSize,
    MultipartNotCompleted,
    MultipartPartBusy,
    MultipartPartsDiffer,
    PreconditionFailed,
)
from ...models import Bucket, MultipartObject, ObjectVersion, Part
from ...models.base import utcnow
from ...signals import file_uploaded, notify
from ...storage.capabilities import DirectParts, capability_of
from ...storage.pieces import Piece, Window
from ..batches import in_batches
from ..conditions import check_write_conditions
from ..deposit import commit_or_discard
from ..dispatch import send_task
from ..removal import remove_file_data
from ..transactions import in_transaction, release_connection
from . import direct
from .access import explained, held
from .completion import made, made_meanwhile
from .errors import UploadGone
from .interface import Extent, Forgotten
from .sources import Touching

if TYPE_CHECKING:
    from _typeshed import SupportsRead

PART_WAIT_SECONDS = 30
"""Seconds that one sender of a part waits for another sender of the same part."""


def _row(upload: MultipartObject | uuid.UUID) -> MultipartObject:
    """Return an upload that is given as its row or as its identifier."""
    found = MultipartObject.find(upload) if isinstance(upload, uuid.UUID) else upload
    if found is None:
        raise UploadGone()
    return found


def _id(upload: MultipartObject | uuid.UUID) -> uuid.UUID:
    identifier: uuid.UUID = upload if isinstance(upload, uuid.UUID) else upload.upload_id
    return identifier


def _held_open(upload_id: uuid.UUID, *conditions: Any) -> MultipartObject:
    """Hold an upload that still takes parts."""
    upload: MultipartObject = held(upload_id, *conditions, model=MultipartObject)
    if upload.completed:
        raise MultipartAlreadyCompleted()
    return upload


def _locked(storage: Any, start: int, size: int, timeout: float) -> AbstractContextManager[Any]:
    """Lock a region of a file, if its storage can; it need not inherit from :class:`.FileStorage`."""
    lock = getattr(storage, "locked_region", None)
    return nullcontext(False) if lock is None else lock(start, size, timeout)


def _has_still(storage: Any, start: int, size: int, checksum: str) -> bool:
    """Return whether a body that failed has left a part as it was, e.g. because it was the same as far as it came."""
    algorithm = checksum.partition(":")[0]
    try:
        with closing(storage.open(mode="rb")) as file:
            return compute_checksum(Window(file, Piece("", start, size)), algorithm, new_digest(algorithm)) == checksum
    except Exception:
        current_app.logger.exception("A part could not be read after another one had failed in its place.")
        return False


def _expired() -> Any:
    """Return the condition that nobody has touched an upload for the time after which it expires."""
    return MultipartObject.idle_since(utcnow() - current_app.config["FILES_REST_MULTIPART_EXPIRES"])


class FixedParts:
    """Uploads of parts of one size; see :class:`~invenio_files_rest.services.uploads.interface.Uploading`.

    An upload is given as its row, by who has that, or as its identifier.
    """

    name = "fixed"

    def begin(
        self,
        bucket: Bucket,
        key: str | None,
        length: int | None = None,
        *,
        part_size: int = 0,
        conditions: Mapping[str, str] | None = None,
    ) -> MultipartObject:
        """Begin an upload, and commit. Its file has its size from now on.

        :param bucket: The bucket.
        :param key: Key of the object that it becomes.
        :param length: Size of the file in bytes.
        :param part_size: Size of a part in bytes.
        :param conditions: What has to be true of the object now, for the tables do not keep it; see
            :func:`.http.preconditions.write_conditions`.
        :returns: The upload.
        :raises MultipartInvalidChunkSize: If the part size is outside the limits.
        :raises MultipartInvalidSize: If the length does not fit, or key or length are not known.
        :raises InvalidKeyError: If the key is too long, cannot be stored, or has a segment ``.`` or ``..``.
        :raises PreconditionFailed: If a condition does not hold.
        :raises FileSizeError: If a size limit is exceeded.
        :raises BucketLockedError: If the bucket is locked.
        :raises StorageError: If the storage fails, or the bucket's location is away.
        """
        if key is None or length is None:
            raise MultipartInvalidSize()
        bucket_id = bucket.id
        make_room = MultipartObject.prepare(bucket, key, length, part_size)
        if conditions:
            check_write_conditions(conditions, ObjectVersion.get(bucket_id, key))
        release_connection()
        file = make_room()
        return commit_or_discard(file, lambda: MultipartObject.record(bucket_id, key, file.twin(), length, part_size))

    def write(
        self,
        upload: MultipartObject | uuid.UUID,
        place: int,
        stream: SupportsRead[bytes],
        *,
        size: int | None = None,
        shut: Callable[[], Any] | None = None,
    ) -> Part:
        """Write a part, and commit. It takes the place of the one of its number.

        :param upload: The upload.
        :param place: Number of the part, from 0.
        :param stream: The bytes.
        :param size: How many they are, where the request tells it.
        :param shut: Not used, since nobody is told to stop.
        :returns: The part.
        :raises MultipartInvalidPartNumber: If there is no such part.
        :raises MultipartInvalidChunkSize: If the announced size is not that of the part.
        :raises MultipartAlreadyCompleted: If the upload has been completed.
        :raises MultipartPartBusy: If somebody else keeps sending the same part.
        :raises UnexpectedFileSizeError: If the stream is not of the part's size.
        :raises StorageError: If the storage fails, or the file's location is away.
        :raises UploadGone: If the upload has been aborted, or has expired.
        """
        upload = _row(upload)
        expected = upload.expected_part_size(place)
        if size is not None and size != expected:
            raise MultipartInvalidChunkSize()
        upload_id, start = upload.upload_id, place * upload.chunk_size
        uri, storage = upload.file.uri, upload.file.storage()
        release_connection()

        def forget() -> str | None:
            return Part.take_away(_held_open(upload_id, ~_expired()), place)

        def record(checksum: str | None) -> Part:
            return Part.put(_held_open(upload_id), place, checksum)

        with (
            explained(uri, lambda: _held_open(upload_id), MultipartPartBusy),
            _locked(storage, start, expected, PART_WAIT_SECONDS) as is_locked,
        ):
            before = in_transaction(forget)
            try:
                # Where there are no locks, nothing else tells that a part is being sent.
                body = stream if is_locked else Touching(stream, lambda: MultipartObject.hold(upload_id))
                _, checksum = storage.update(body, seek=start, size=expected)
            except Exception as error:
                # After an error of the disk nobody knows what it has.
                is_known = is_locked and not isinstance(error, OSError)
                if is_known and before is not None and _has_still(storage, start, expected, before):
                    with suppress(UploadGone, MultipartAlreadyCompleted):
                        in_transaction(lambda: record(before))
                raise
            return in_transaction(lambda: record(checksum))

    def extents(self, upload: MultipartObject | uuid.UUID) -> list[Extent]:
        """Return the parts that are there, in order."""
        found = []
        for part in Part.query_by_multipart(_row(upload)):
            algorithm, _, digest = (part.checksum or "").partition(":")
            digests = {algorithm: digest} if digest else {}
            found.append(Extent(part.part_number, part.start_byte, part.part_size, digests))
        return found

    def missing(self, upload: MultipartObject | uuid.UUID) -> list[int]:
        """Return the numbers of the parts that are not there."""
        return _row(upload).missing_parts()

    def close(
        self,
        upload: MultipartObject | uuid.UUID,
        conditions: Mapping[str, str] | None = None,
        announced: Mapping[int, str] | None = None,
    ) -> None:
        """Take no more parts, and commit. Of one that takes none already, the conditions alone are looked at.

        :param upload: The upload.
        :param announced: Checksums of parts that the client has sent to the storage itself, by their numbers.
        :param conditions: What has to be true of the object; see :func:`.http.preconditions.write_conditions`.
        :raises PreconditionFailed: If a condition does not hold; nothing has changed then.
        :raises MultipartMissingParts: If parts are missing; the message names them.
        :raises MultipartPartsDiffer: If parts are not what was announced. The upload is aborted then.
        :raises UploadGone: If the upload has been aborted, or become a version.
        """
        upload_id = _id(upload)
        with self._aborted_if_parts_differ(upload_id):
            direct.take_in(upload_id, announced or {})

        def close() -> None:
            upload = held(upload_id, model=MultipartObject)
            if not upload.completed:
                upload.complete()
            if conditions:
                check_write_conditions(conditions, ObjectVersion.get(upload.bucket_id, upload.key))

        in_transaction(close)

    def finish(
        self,
        upload_id: uuid.UUID,
        *,
        version_id: uuid.UUID | None = None,
        conditions: Mapping[str, str] | None = None,
        progress: Callable[[int | None, int], Any] | None = None,
    ) -> uuid.UUID:
        """Make an upload that takes no more parts a version of its object, and commit. A second run finds it there.

        The file is read once, from its beginning to its end; then one short transaction makes it a version.

        :param upload_id: Identifier of the upload.
        :param version_id: Identifier for the version; one that follows from the upload's where none is given.
        :param conditions: What has to be true of the object when the version becomes its head.
        :param progress: Told the size and the bytes read so far.
        :returns: Identifier of the version.
        :raises MultipartNotCompleted: If the upload takes parts, or has been opened again meanwhile.
        :raises UploadGone: If there is no such upload.
        :raises StorageError: If the storage fails, or the location is away. It may be tried again.
        :raises PreconditionFailed: If a condition does not hold. The upload is open again then, with all its parts.
        :raises MultipartPartsDiffer: If the storage has other parts. The upload is aborted then.
        """
        version_id = version_id or MultipartObject.version_id_of(upload_id)

        def look() -> MultipartObject | uuid.UUID:
            upload = MultipartObject.find(upload_id)
            if upload is None:
                return made(version_id)
            upload.ensure_completed()
            return upload

        found = in_transaction(look)
        if isinstance(found, uuid.UUID):
            return found
        storage, uri, parts = found.file.storage(), found.file.uri, found.parts_there()
        expected = direct.recorded(found)
        release_connection()
        try:
            with self._aborted_if_parts_differ(upload_id):
                direct.settle(storage, expected)
            checksum = storage.checksum(progress_callback=progress)
        except FileNotFoundError as error:
            return made_meanwhile(look, uri, error)
        precondition = partial(check_write_conditions, conditions) if conditions else None

        def record() -> ObjectVersion | None:
            upload = MultipartObject.hold(upload_id)
            if upload is None:
                return None
            upload.ensure_completed()
            if upload.parts_there() != parts:
                # Others opened it, sent a part again and completed it: the checksum may be that of other bytes.
                raise MultipartNotCompleted()
            version: ObjectVersion = upload.become_version(checksum, version_id, precondition)
            return version

        try:
            version = in_transaction(record)
        except PreconditionFailed:
            in_transaction(lambda: MultipartObject.reopen(upload_id))
            raise
        if version is None:
            return made(version_id)
        notify(file_uploaded, version)
        return version_id

    def open(self, upload: MultipartObject) -> IO[bytes]:
        """Open the file of an upload that takes no more parts, with every part as it was sent last.

        :param upload: The upload.
        :returns: The file. The caller closes it.
        :raises MultipartPartsDiffer: If the storage has other parts. The upload is aborted then.
        :raises StorageError: If the storage fails.
        """
        upload_id, storage, expected = upload.upload_id, upload.file.storage(), direct.recorded(upload)
        release_connection()
        with self._aborted_if_parts_differ(upload_id):
            if (parts := capability_of(storage, DirectParts)) is not None:
                parts.settle(expected)
        return storage.open(mode="rb")

    @contextmanager
    def _aborted_if_parts_differ(self, upload_id: uuid.UUID) -> Iterator[None]:
        try:
            yield
        except MultipartPartsDiffer:
            with suppress(UploadGone):
                self.abort(upload_id)
            raise

    def complete(self, upload: MultipartObject | uuid.UUID) -> uuid.UUID:
        """Make the upload a version of its object, and commit. Doing it again returns the same."""
        upload_id = _id(upload)
        with suppress(UploadGone):
            self.close(upload_id)
        return self.finish(upload_id)

    def abort(self, upload: MultipartObject | uuid.UUID) -> None:
        """Abort the upload, commit, and have its bytes removed by a worker.

        :param upload: The upload.
        :raises BucketLockedError: If the bucket is locked.
        :raises UploadGone: If somebody else has aborted it, or it has become a version.
        """
        upload_id = _id(upload)
        self.remove_bytes(in_transaction(lambda: self.remove(upload_id)))

    def remove(self, upload_id: uuid.UUID, *conditions: Any) -> uuid.UUID:
        """Remove the row of the upload, in the transaction of the caller, who has the bytes removed after the commit.

        :param upload_id: Identifier of the upload.
        :param conditions: What has to be true of it.
        :returns: Identifier of its file; see :meth:`remove_bytes`.
        :raises BucketLockedError: If the bucket is locked.
        :raises UploadGone: If somebody else has aborted it, or it has become a version, or the conditions are not true.
        """
        upload = held(upload_id, *conditions, model=MultipartObject)
        file_id: uuid.UUID = upload.file_id
        upload.delete()
        return file_id

    @staticmethod
    def remove_bytes(file_id: uuid.UUID) -> None:
        """Have the bytes of an upload that is gone removed by a worker.

        :param file_id: Identifier of its file.
        """
        # A completed file is not writable.
        send_task("remove_file_data", str(file_id), force=True)

    def forgotten(self, grace: timedelta | None = None) -> Iterator[Forgotten]:
        """Find the uploads that have expired, be they completed or not.

        :param grace: Not used: the tables do not tell an upload that is being completed from one that was to be.
        """
        columns = MultipartObject.upload_id, MultipartObject.key, MultipartObject.size
        query = MultipartObject.query_expired(current_app.config["FILES_REST_MULTIPART_EXPIRES"])
        for batch in in_batches(query.with_entities(*columns), MultipartObject.upload_id):
            for upload in batch:
                yield Forgotten(*upload)

    def expire(self, upload_id: uuid.UUID) -> bool:
        """Remove an upload that has expired, still; commit, and remove its bytes."""

        def expire() -> uuid.UUID | None:
            upload = MultipartObject.hold(upload_id, _expired())
            if upload is None:
                return None
            file_id: uuid.UUID = upload.file_id
            try:
                # While a part is being sent it has no row, but its region of the file is locked.
                with _locked(upload.file.storage(), 0, upload.size, timeout=0):
                    upload.delete(locked=True)
            except FileNotFoundError:
                upload.delete(locked=True)
            return file_id

        try:
            file_id = in_transaction(expire)
        except TimeoutError:
            return False
        if file_id is None:
            return False
        remove_file_data(file_id, force=True)
        return True
