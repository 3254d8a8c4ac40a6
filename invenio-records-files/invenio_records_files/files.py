"""The files of one record: its bucket's objects, each with its entry in the record's ``_files``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import wraps
from typing import IO, Any, TypeVar

from invenio_files_rest.errors import BucketLockedError, InvalidOperationError
from invenio_files_rest.messages import lazy_gettext as _
from invenio_files_rest.models import Bucket, ObjectVersion

from .merging import by_key
from .utils import sorted_files_from_bucket

F = TypeVar("F", bound=Callable[..., Any])

FILES = "_files"
"""Key of the list of files in a record."""


def _writable(method: F) -> F:
    """Make a method of :class:`FilesIterator` that changes the bucket fail if the bucket is locked or deleted.

    :raises invenio_files_rest.errors.BucketLockedError: If it is locked.
    :raises invenio_files_rest.errors.InvalidOperationError: If it is deleted.
    """

    @wraps(method)
    def refuse_or_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.bucket.locked:
            raise BucketLockedError()
        if self.bucket.deleted:
            raise InvalidOperationError(description=_("The bucket of the files is deleted."))
        return method(self, *args, **kwargs)

    return refuse_or_call  # type: ignore[return-value]


class FileObject:
    """A file of a record: the object in the bucket, and its entry in the record.

    Its attributes are those of the object. Its items are the attributes of the object, and otherwise metadata.

    :param obj: The object.
    :param data: The file's entry in the record; setting an item changes it.
    """

    _adopt: Callable[[FileObject], None] | None = None
    """Function that adds the entry to the record, if the record does not have it yet."""

    def __init__(self, obj: ObjectVersion, data: dict[str, Any]) -> None:
        """Store object and entry."""
        self.obj = obj
        self.data = data

    def get_version(self, version_id: uuid.UUID | str | None = None) -> ObjectVersion | None:
        """Return a version of the object.

        :param version_id: Identifier of the version; by default the head.
        :returns: The version; ``None`` if there is none.
        """
        return ObjectVersion.get(self.obj.bucket_id, self.obj.key, version_id=version_id)

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute of the object, or metadata.

        :param key: Name of the attribute or of the metadata.
        :param default: What to return if there is neither.
        """
        if hasattr(self.obj, key):
            return getattr(self.obj, key)
        return self.data.get(key, default)

    def dumps(self) -> dict[str, Any]:
        """Return the file's entry in the record: its metadata and the data of the object."""
        return {**self.data, **self._facts()}

    def _facts(self) -> dict[str, Any]:
        return {
            "bucket": str(self.obj.bucket_id),
            "checksum": self.obj.file.checksum,
            "file_id": str(self.obj.file_id),
            "key": self.obj.key,
            "size": self.obj.file.size,
            "version_id": str(self.obj.version_id),
        }

    def __getattr__(self, name: str) -> Any:
        if name == "obj":
            # Not set yet, while a copy is being made.
            raise AttributeError(name)
        return getattr(self.obj, name)

    def __getitem__(self, key: str) -> Any:
        if hasattr(self.obj, key):
            return getattr(self.obj, key)
        return self.data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Set metadata.

        :raises KeyError: If the name is the object's own.
        """
        if hasattr(self.obj, key) or key in ("checksum", "size"):
            raise KeyError(key)
        self.data[key] = value
        if self._adopt is not None:
            self._adopt(self)

    def __repr__(self) -> str:
        """Return a text with the object."""
        return f"<{type(self).__name__} {self.obj!r}>"


def _update(entry: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Give an entry other values, which may be the entry itself."""
    values = dict(values)
    entry.clear()
    entry.update(values)
    return entry


class FilesIterator:
    """The files of a record by key, in the order in which the record has them.

    A subclass may override :meth:`dumps`, which returns what is written to the record, and ``__iter__``, which returns
    either an iterator over files, or ``self`` after setting ``_it`` to an iterator over objects.

    :param record: The record.
    :param bucket: The bucket; by default that of the record.
    :param file_cls: Class of the files; by default :class:`FileObject`.
    """

    def __init__(self, record: Any, bucket: Bucket | None = None, file_cls: type[FileObject] | None = None) -> None:
        """Store record and bucket."""
        self.record = record
        self.model = record.model
        self.bucket: Bucket = record.bucket if bucket is None else bucket
        self.file_cls = file_cls or FileObject
        self._it: Iterator[ObjectVersion] | None = None

    @property
    def filesmap(self) -> dict[str, dict[str, Any]]:
        """The entries in the record's ``_files`` by key, in order. Changing an entry changes the record."""
        return by_key(self.record.get(FILES) or [])

    @property
    def keys(self) -> list[str]:
        """Keys of the files."""
        return [obj.key for obj in self._objects(self.bucket)]

    def __len__(self) -> int:
        return int(ObjectVersion.get_by_bucket(self.bucket).count())

    def __iter__(self) -> Iterator[FileObject]:
        objects, entries = self._objects(self.bucket), self.filesmap
        self._it = iter(objects)
        # An iterator of its own, so that there may be several at a time.
        return (self._file(obj, entries.get(obj.key)) for obj in objects)

    def __next__(self) -> FileObject:
        if self._it is None:
            self._it = iter(self._objects(self.bucket))
        obj = next(self._it)
        return self._file(obj, self.filesmap.get(obj.key))

    def next(self) -> FileObject:
        """Return the next file.

        :raises StopIteration: If there is none.
        """
        return self.__next__()

    def __contains__(self, key: str) -> bool:
        return ObjectVersion.get(self.bucket, key) is not None

    def __getitem__(self, key: str) -> FileObject:
        """Return a file.

        :raises KeyError: If there is no file with this key.
        """
        return self._file(self._object(key), self.filesmap.get(key))

    @_writable
    def __setitem__(self, key: str, stream: IO[bytes]) -> None:
        """Store a file, or a new version of a file, which starts without metadata.

        :raises invenio_files_rest.errors.FilesException: If the bucket refuses it, or the storage fails.
        """
        ObjectVersion.create(self.bucket, key, stream=stream)
        if (entry := self.filesmap.get(key)) is not None:
            entry.clear()
            entry["key"] = key
        self.flush()

    @_writable
    def __delitem__(self, key: str) -> None:
        """Delete a file; its versions stay in the bucket.

        :raises KeyError: If there is no file with this key.
        """
        if ObjectVersion.delete(self.bucket, key) is None:
            raise KeyError(key)
        self.flush()

    @_writable
    def rename(self, old_key: str, new_key: str) -> ObjectVersion:
        """Give a file another key. It keeps its metadata and its position; no bytes are copied.

        :param old_key: Current key of the file.
        :param new_key: New key of the file.
        :returns: The object with the new key.
        :raises KeyError: If there is no file with the old key.
        :raises InvalidOperationError: If there is already a file with the new key.
        """
        obj = self._object(old_key)
        if new_key in self:
            raise InvalidOperationError(description=_("There is a file of this key already."))
        renamed = obj.copy(key=new_key)
        ObjectVersion.delete(self.bucket, old_key)
        if (entry := self.filesmap.get(old_key)) is not None:
            entry["key"] = new_key
        self.flush()
        return renamed

    def sort_by(self, *ids: str | uuid.UUID) -> None:
        """Change the order of the files.

        :param ids: Keys or identifiers of files, in the new order. Other files follow in their current order.
        :raises KeyError: If one of the files does not exist.
        """
        self.flush()
        entries = self.filesmap
        keys = {entry.get("file_id"): key for key, entry in entries.items()} | {key: key for key in entries}
        wanted = dict.fromkeys(keys[str(id_)] for id_ in ids)
        self.record[FILES] = [entries[key] for key in dict.fromkeys([*wanted, *entries])]

    def flush(self) -> None:
        """Write the files in the bucket to the record, as :meth:`dumps` returns them.

        The entries stay the same objects, so that code that holds one sees the changes.
        """
        entries, dumped = self.filesmap, self.dumps()
        if dumped or FILES in self.record:
            self.record[FILES] = [_update(entries.get(entry.get("key", ""), entry), entry) for entry in dumped]

    def dumps(self, bucket: Bucket | None = None) -> list[dict[str, Any]]:
        """Return the entries of the files.

        :param bucket: The bucket of the objects; by default that of the record.
        """
        entries = self.filesmap
        objects = self._objects(self.bucket if bucket is None else bucket)
        return [self.file_cls(obj, entries.get(obj.key, {})).dumps() for obj in objects]

    def _objects(self, bucket: Bucket) -> list[ObjectVersion]:
        return sorted_files_from_bucket(bucket, list(self.filesmap))

    def _object(self, key: str) -> ObjectVersion:
        obj = ObjectVersion.get(self.bucket, key)
        if obj is None:
            raise KeyError(key)
        return obj

    def _file(self, obj: ObjectVersion, entry: dict[str, Any] | None) -> FileObject:
        if entry is not None:
            return self.file_cls(obj, entry)
        file = self.file_cls(obj, {})
        file._adopt = self._add_entry
        return file

    def _add_entry(self, file: FileObject) -> None:
        """Add the entry of a file that was stored in the bucket in another way, such as REST."""
        entry = self.filesmap.get(file.key)
        if entry is None:
            self.record.setdefault(FILES, []).append(file.data)
            file.data.update(file.dumps())
        else:
            entry.update(file.data)
            file.data = entry
        file._adopt = None
