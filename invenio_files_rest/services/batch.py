"""A batch of new files: their bytes are in storage, durable together, before any of them has a row."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Any

from flask import current_app

from ..errors import InvalidKeyError
from ..keys import validate_new_key
from ..messages import lazy_gettext as _
from ..models import Bucket, FileInstance, ObjectVersion
from ..models.additions import Row, row_of
from ..models.bucket import open_bucket
from ..models.bulk import add_all_files
from ..models.listeners import anybody_watches
from ..proxies import current_files_rest
from ..storage.capabilities import Deferred, Siblings, capability_of
from ..storage.failures import translated_errors
from ..storage.pyfs import new_uri, pyfs_storage_factory
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
        self._settings = current_app.config
        self._settling = Settling()
        self._beginning = uuid.uuid4().bytes[:2]
        self._siblings: Siblings | None = None
        self.rows: list[Row] = []
        """Values of the files, which are in no table yet."""
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
        stored = self._store(stream, options)
        return stored if isinstance(stored, FileInstance) else FileInstance(**stored)

    def store_row(self, stream: Any, **options: Any) -> Row:
        """Store a stream as :meth:`store` does.

        :param stream: Object with ``read(n)``.
        :param options: See :meth:`store`.
        :returns: The values of the file.
        """
        self._store(stream, options)
        return self.rows[-1]

    def _store(self, stream: Any, options: Mapping[str, Any]) -> FileInstance | Row:
        # Their paths begin alike (see make_path), so that most of them need one new folder rather than two.
        file_id = uuid.UUID(bytes=self._beginning + os.urandom(14), version=4)
        if self._siblings is None:
            file = self._store_alone(file_id, stream, options)
            self._added(row_of(file))
            return file
        uri = new_uri(file_id, str(self._place["default_location"]), self._settings)
        uri, size, checksum = self._siblings.save(uri, stream, self._settling, **options)
        # What else the first file was given, all have.
        return self._added({**self.rows[0], "id": file_id, "uri": uri, "size": size, "checksum": checksum})

    def _store_alone(self, file_id: uuid.UUID, stream: Any, options: Mapping[str, Any]) -> FileInstance:
        """Store a file with its own object and storage. The next ones need none if nobody could tell."""
        file = FileInstance.new()
        file.id = file_id
        storage = file.storage(**self._place)
        deferred = capability_of(storage, Deferred)
        if deferred is None:
            stored = storage.save(stream, **options)
        else:
            stored = deferred.save(stream, self._settling, **options)
        file.keep(storage, stored, storage_class=self._place["default_storage_class"])
        if (
            not self.rows
            and current_files_rest.storage_factory is pyfs_storage_factory
            and not anybody_watches(FileInstance)
        ):
            self._siblings = capability_of(storage, Siblings)
        return file

    def _added(self, row: Row) -> Row:
        self.rows.append(row)
        self.size += row["size"] or 0
        return row

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
        for row in self.rows:
            if row["id"] not in used:
                deposit.discard(FileInstance(**row))


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
