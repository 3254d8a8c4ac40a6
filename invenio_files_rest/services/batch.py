"""A batch of new files: their bytes are in storage, durable together, before any of them has a row."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any

from ..errors import InvalidKeyError
from ..keys import validate_new_key
from ..messages import lazy_gettext as _
from ..models import Bucket, FileInstance, ObjectVersion
from ..models.bucket import open_bucket
from ..models.bulk import add_all_files
from ..storage.capabilities import Deferred, capability_of
from ..storage.failures import translated_errors
from ..storage.settling import Settling
from . import deposit
from .presence import ensure_present

FILES = 1000
"""Number of files after which a batch should end."""


class Batch:
    """New files of a bucket. If the block in which it is used fails, their bytes are deleted again.

    :param bucket: The bucket.
    :raises LocationAwayError: If the bucket's location is away.
    """

    def __init__(self, bucket: Bucket) -> None:
        """Begin with no files."""
        ensure_present(bucket.location)
        self._place = {
            "default_location": bucket.location.uri,
            "default_storage_class": bucket.default_storage_class,
        }
        self._settling = Settling()
        self._beginning = uuid.uuid4().bytes[:2]
        self.files: list[FileInstance] = []
        """The files, which have no rows yet."""
        self.size = 0
        """Their size together, in bytes."""

    def __enter__(self) -> Batch:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete the bytes after an error."""
        self._settling.__exit__(kind, error, traceback)
        if error is not None:
            self.discard()

    def store(self, stream: Any, **options: Any) -> FileInstance:
        """Store a stream as a new file, without using the database.

        :param stream: Object with ``read(n)``.
        :param options: ``size``, ``size_limit`` and ``chunk_size``, as of :meth:`.FileStorage.save`.
        :returns: The file, which is durable once :meth:`settle` has been called.
        """
        file = FileInstance.new()
        # Their paths begin alike (see make_path), so that most of them need one new folder rather than two.
        file.id = uuid.UUID(bytes=self._beginning + file.id.bytes[2:])
        storage = file.storage(**self._place)
        deferred = capability_of(storage, Deferred)
        if deferred is None:
            stored = storage.save(stream, **options)
        else:
            stored = deferred.save(stream, self._settling, **options)
        file.keep(storage, stored, storage_class=self._place["default_storage_class"])
        self.files.append(file)
        self.size += file.size or 0
        return file

    def settle(self) -> None:
        """Make all files durable.

        :raises StorageError: If the disk is full.
        :raises OSError: If it fails otherwise.
        """
        with translated_errors():
            self._settling.settle()

    def discard(self, used: Collection[uuid.UUID] = ()) -> None:
        """Delete the bytes of files that nobody needs; a failure is only logged.

        :param used: Identifiers of the files to keep.
        """
        for file in self.files:
            if file.id not in used:
                deposit.discard(file)


def store_many(bucket: Bucket | uuid.UUID | str, items: Iterable[tuple[str, Any]]) -> list[ObjectVersion]:
    """Store streams as objects; see :meth:`.ObjectVersion.create_many`."""
    target = open_bucket(bucket)
    files: dict[str, FileInstance] = {}
    with Batch(target) as batch:
        for key, stream in items:
            if validate_new_key(key) in files:
                raise InvalidKeyError(description=_("The key %(key)r is given twice.", key=key))
            files[key] = batch.store(stream, size_limit=target.size_limit_before(-batch.size))
        batch.settle()
        return add_all_files(target.id, files)
