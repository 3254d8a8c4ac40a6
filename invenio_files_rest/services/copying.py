"""Making new versions of what is stored already: copying, moving and restoring objects, each in one transaction.

Within one location a new version refers to the same file, so that nothing is copied. In a bucket that is in another
location it gets a file of its own there, which is durable before the version is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

from ..errors import FileInstanceUnreadableError, InvalidOperationError, ObjectReplacedError
from ..keys import validate_new_key
from ..messages import lazy_gettext as _
from ..models import Bucket, FileInstance, Location, ObjectVersion
from ..signals import file_deleted, file_uploaded, notify
from ..storage.pump import check_sizelimit
from .deposit import commit_or_discard, prepare
from .objects import Precondition
from .reading import read_version
from .transactions import in_transaction, release_connection


def copy_object(
    source: ObjectVersion,
    bucket: Bucket,
    key: str,
    tags: Mapping[str, str] | None = None,
    precondition: Precondition | None = None,
) -> ObjectVersion:
    """Make a version the latest one of another object, or again of its own, and commit.

    :param source: The version.
    :param bucket: The bucket of the new version.
    :param key: Key of the new version.
    :param tags: Tags of the new version; by default those of the source.
    :param precondition: Called in the transaction that records the new version.
    :returns: The new version.
    :raises InvalidOperationError: If the source is the latest version of that object already.
    :raises InvalidKeyError: If the key differs from that of the source, and is too long, cannot be stored, or has a
        segment ``.`` or ``..``.
    :raises ObjectReplacedError: If the source has been removed meanwhile.
    :raises BucketLockedError: If the bucket is locked.
    :raises BucketDeletedError: If it is deleted.
    :raises FileSizeError: If a size limit is exceeded.
    :raises FileInstanceUnreadableError: If the file of the source has not all its bytes.
    :raises StorageError: If the bytes had to be copied, and that failed, or the location of one of them is away.
    """
    return _new_version(source, bucket, key, tags, precondition, moves=False)


def move_object(
    source: ObjectVersion,
    bucket: Bucket,
    key: str,
    tags: Mapping[str, str] | None = None,
    precondition: Precondition | None = None,
) -> ObjectVersion:
    """Make the head of an object that of another one, delete the object, and commit, all at once.

    Its earlier versions stay where they are.

    :param source: The head, in a bucket that is not locked.
    :param bucket: See :func:`copy_object`, whose errors this raises, too.
    :param key: See there.
    :param tags: See there.
    :param precondition: See there.
    :returns: The new version.
    :raises ObjectReplacedError: If the source is not the head any more.
    """
    return _new_version(source, bucket, key, tags, precondition, moves=True)


def _new_version(
    source: ObjectVersion,
    bucket: Bucket,
    key: str,
    tags: Mapping[str, str] | None,
    precondition: Precondition | None,
    moves: bool,
) -> ObjectVersion:
    if key != source.key:
        validate_new_key(key)
    if not source.file.readable:
        raise FileInstanceUnreadableError()
    check_sizelimit(bucket.size_limit, source.file.size or 0)
    version_id, from_id, from_key, bucket_id = source.version_id, source.bucket_id, source.key, bucket.id
    copied = None if _may_share(source, bucket) else _copied_file(source, bucket)
    release_connection()

    def record() -> tuple[ObjectVersion, ObjectVersion | None]:
        # In one order, so that transactions do not deadlock.
        for locked in sorted({bucket_id, from_id} if moves else {bucket_id}, key=str):
            Bucket.claim(locked)
        version = ObjectVersion.hold(version_id)
        if version is None or (moves and not version.is_head):
            raise ObjectReplacedError()
        if version.is_head and (from_id, from_key) == (bucket_id, key):
            raise InvalidOperationError(description=_("The version is the latest one."))
        file = copied and copied.twin()
        new = version.copy(bucket_id, key, file=file, limited=True, tags=tags, precondition=precondition)
        return new, ObjectVersion.record(from_id, from_key, None) if moves else None

    new, marker = in_transaction(record) if copied is None else commit_or_discard(copied, record)
    notify(file_uploaded, new)
    if marker is not None:
        notify(file_deleted, marker)
    return new


def _may_share(source: ObjectVersion, bucket: Bucket) -> bool:
    """Return whether a version in a bucket may refer to the file of another version.

    It may in the same bucket, wherever its files are, and where the file lies outside all locations, with others.
    """
    if source.bucket_id == bucket.id:
        return True
    location = Location.of_uri(source.file.uri, Location.rows())
    return location is None or location.id == bucket.default_location


def _copied_file(source: ObjectVersion, bucket: Bucket) -> FileInstance:
    """Store the bytes of a version, compared with its checksum on the way, as a new file of a bucket."""
    size, store = source.file.size, prepare(bucket)
    with closing(read_version(source)) as blocks:
        return store(_BlockStream(blocks), size=size)


class _BlockStream:
    """Blocks of bytes as a stream.

    :param blocks: The blocks.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative for any number.
        """
        block = self._rest or next(self._blocks, b"")
        end = len(block) if size < 0 else size
        self._rest = block[end:]
        return block[:end]
