"""Records that have files."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from invenio_db import db
from invenio_files_rest.errors import InvalidOperationError
from invenio_files_rest.messages import lazy_gettext as _
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_records.api import Record as _Record
from invenio_records.errors import MissingModelError

from .files import FILES, FileObject, FilesIterator, _writable
from .merging import merge_files
from .models import RecordsBuckets, lock_bucket, lock_objects, lock_record, reload_record
from .utils import sorted_files_from_bucket

__all__ = (
    "FileObject",
    "FilesIterator",
    "FilesMixin",
    "ObjectVersion",
    "Record",
    "_writable",
    "sorted_files_from_bucket",
)

_Base: Any = _Record if TYPE_CHECKING else object


def _files_in(json: Any) -> Any:
    return json.get(FILES) if isinstance(json, dict) else None


def _without_files(json: Any) -> Any:
    return {key: value for key, value in json.items() if key != FILES} if isinstance(json, dict) else json


class FilesMixin(_Base):
    """Adds files to a class of records, in the bucket that :class:`.models.RecordsBuckets` links to the record.

    When a record is committed, changes that other writers have made to ``_files`` since it was read are merged. Any
    other concurrent change of the record makes :meth:`commit` fail, as with any record.
    """

    file_cls: type[FileObject] = FileObject
    """Class of the files."""

    files_iter_cls: type[FilesIterator] = FilesIterator
    """Class of :attr:`files`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Store the files as they are when the record is read."""
        super().__init__(*args, **kwargs)
        self._files_read = _files_in(self.model.json) if self.model is not None else None

    def _create_bucket(self) -> Bucket | None:
        """Return a bucket to link to a record that has none; ``None`` if it should not have one."""
        return None

    @property
    def bucket(self) -> Bucket | None:
        """The bucket; ``None`` if the record has none, or it is deleted."""
        return self._linked_bucket()

    @property
    def bucket_id(self) -> str:
        """Identifier of the bucket, empty if there is none."""
        bucket = self._linked_bucket()
        return str(bucket.id) if bucket is not None else ""

    def _linked_bucket(self) -> Bucket | None:
        return RecordsBuckets.find_bucket(self.model.id) if self.model is not None else None

    def _bucket_of_files(self) -> Bucket | None:
        return self.bucket

    @property
    def files(self) -> FilesIterator | None:
        """The files; ``None`` if the record has no bucket.

        :raises invenio_records.errors.MissingModelError: If the record is not in the database.
        """
        if self.model is None:
            raise MissingModelError()
        bucket = self._bucket_of_files()
        if bucket is None:
            bucket = self._create_bucket()
            if bucket is None:
                return None
            RecordsBuckets.create(self.model, bucket)
            db.session.flush()
        return self.files_iter_cls(self, bucket=bucket, file_cls=self.file_cls)

    @files.setter
    def files(self, data: Mapping[str, IO[bytes]]) -> None:
        """Store the files of a record that has none.

        :param data: Streams by the keys of the files.
        :raises invenio_records.errors.MissingModelError: If the record is not in the database.
        :raises RuntimeError: If it already has files.
        :raises invenio_files_rest.errors.InvalidOperationError: If it has no bucket, or the bucket is locked or
        deleted.
        """
        files = self.files
        if files is None:
            raise InvalidOperationError(description=_("The record has no bucket."))
        if len(files):
            raise RuntimeError("The record has files already: store or delete them by their keys.")
        for key, stream in data.items():
            files[key] = stream

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        """Write the record to the database, with the changes that others have made to its files since it was read.

        :raises sqlalchemy.orm.exc.StaleDataError: If others have changed anything else of it since then.
        """
        if self.model is not None and not self.model.is_deleted:
            self._merge_files()
        record = super().commit(*args, **kwargs)
        self._files_read = _files_in(self.model.json)
        return record

    def _merge_files(self) -> None:
        """Merge the changes that others have made to the files since the record was read."""
        bucket = self._bucket_of_files()
        if bucket is not None:
            # The bucket first: storing a file and then committing the record takes the locks in this order.
            lock_bucket(bucket.id)
        row = lock_record(self.model)
        if row is None:
            return
        version, json = row
        if version != self.model.version_id:
            if _without_files(json) != _without_files(self.model.json):
                return
            reload_record(self.model)
        theirs = _files_in(json)
        if theirs == self._files_read or bucket is None:
            return
        merged = merge_files(self._files_read or [], self.get(FILES) or [], theirs or [])
        objects = lock_objects(bucket.id)
        self[FILES] = [entry for entry in merged if entry["key"] in objects]
        for entry in self[FILES]:
            entry.update(self.file_cls(objects[entry["key"]], entry).dumps())


class Record(FilesMixin, _Record):
    """A record with a bucket of its own.

    The bucket is created with the record, and its identifier stored in the record's ``_bucket``. To store it elsewhere,
    override :meth:`dump_bucket` and :meth:`load_bucket`; to create a different bucket, :meth:`create_bucket`.
    """

    @classmethod
    def create(
        cls, data: dict[str, Any], id_: uuid.UUID | None = None, with_bucket: bool = True, **kwargs: Any
    ) -> Record:
        """Add a record, and the bucket of its files.

        :param data: Metadata of the record; the bucket's identifier is added.
        :param id_: Identifier of the record; by default a random one.
        :param with_bucket: Whether to create a bucket.
        :param kwargs: Passed on to :meth:`invenio_records.api.Record.create`.
        :returns: The record.
        """
        with db.session.begin_nested():
            bucket = cls.create_bucket(data) if with_bucket else None
            if bucket is not None:
                cls.dump_bucket(data, bucket)
            record: Record = super().create(data, id_=id_, **kwargs)
            if bucket is not None:
                RecordsBuckets.create(record.model, bucket)
        return record

    @classmethod
    def create_bucket(cls, data: dict[str, Any]) -> Bucket | None:
        """Return the bucket of a new record: a new one in the default location.

        :param data: Metadata of the record.
        :returns: The bucket, which may be an existing one; ``None`` if the record should not have one.
        """
        return Bucket.create()

    @classmethod
    def dump_bucket(cls, data: dict[str, Any], bucket: Bucket) -> None:
        """Store the bucket's identifier in the metadata, before the record is added.

        :param data: Metadata of the record.
        :param bucket: The bucket.
        """
        data["_bucket"] = str(bucket.id)

    @classmethod
    def load_bucket(cls, record: Record) -> str:
        """Return the bucket's identifier from the metadata.

        :param record: The record.
        :returns: The identifier, empty if there is none.
        """
        return str(record.get("_bucket") or "")

    @property
    def bucket_id(self) -> str:
        """Identifier of the bucket, from the metadata or else from the link to the record."""
        return self.load_bucket(self) or super().bucket_id

    @property
    def bucket(self) -> Bucket | None:
        """The bucket; ``None`` if there is none, or it is deleted."""
        bucket_id = self.load_bucket(self)
        return Bucket.get(bucket_id) if bucket_id else self._linked_bucket()

    def _bucket_of_files(self) -> Bucket | None:
        # The link first: the metadata may have been copied from another record, whose bucket they name.
        return self._linked_bucket() or self.bucket

    def delete(self, force: bool = False) -> Record:
        """Delete the record. Its bucket and files stay.

        :param force: Whether to remove its row, and the link to its bucket, instead of marking it as deleted.
        :returns: The record.
        """
        if force and self.model is not None:
            RecordsBuckets.remove(self.model.id)
        record: Record = super().delete(force=force)
        return record
