"""The files of one record: its bucket's objects, each with its entry in the record's ``_files``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import wraps
from typing import IO, Any, TypeVar

from invenio_files_rest.errors import BucketLockedError, InvalidOperationError
from invenio_files_rest.models import Bucket, ObjectVersion

from .merging import by_key
from .utils import sorted_files_from_bucket

F = TypeVar("F", bound=Callable[..., Any])

FILES = "_files"
"""Key of the list of files in a record."""


def _writable(method: F) -> F:
    """Refuse to call a method of :class:`FilesIterator` that changes a bucket where it is locked or deleted.

    :raises invenio_files_rest.errors.BucketLockedError: If it is locked.
    :raises invenio_files_rest.errors.InvalidOperationError: If it is deleted.
    """

    @wraps(method)
    def refuse_or_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.bucket.locked:
            raise BucketLockedError()
        if self.bucket.deleted:
            raise InvalidOperationError(description="The bucket of the files is deleted.")
        return method(self, *args, **kwargs)

    return refuse_or_call  # type: ignore[return-value]


class FileObject:
    """A file of a record: the object in the bucket, and what the record tells about it.

    Attributes are the object's. Items are the object's attributes too, and metadata under any other name.

    :param obj: The object.
    :param data: The file's entry in the record, which setting an item changes.
    """

    _adopt: Callable[[FileObject], None] | None = None
    """Adds the entry to the record, where the record does not have it yet."""

    def __init__(self, obj: ObjectVersion, data: dict[str, Any]) -> None:
        """Bind object and entry."""
        self.obj = obj
        self.data = data

    def get_version(self, version_id: uuid.UUID | str | None = None) -> ObjectVersion | None:
        """Return a version of the object.

        :param version_id: Identifier of the version; the head where none is given.
        :returns: The version, ``None`` where there is none.
        """
        return ObjectVersion.get(self.obj.bucket_id, self.obj.key, version_id=version_id)

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute of the object, or metadata.

        :param key: Name of the attribute or of the metadata.
        :param default: What to return where there is neither.
        """
        if hasattr(self.obj, key):
            return getattr(self.obj, key)
        return self.data.get(key, default)

    def dumps(self) -> dict[str, Any]:
        """Return the file's entry in the record: its metadata, and what there is to know of the object."""
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
            # Not there yet, while a copy is being made.
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
        """Show the object."""
        return f"<{type(self).__name__} {self.obj!r}>"


def _update(entry: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Give an entry other values, which may be the entry itself."""
    values = dict(values)
    entry.clear()
    entry.update(values)
    return entry


class FilesIterator:
    """The files of a record, by their keys, and in the order that the record has them in.

    A subclass may override :meth:`dumps`, which says what is written to the record, and ``__iter__``: either as an
    iterator over files, or so that it sets ``_it`` to an iterator over objects and returns ``self``.

    :param record: The record.
    :param bucket: Its bucket; the record's own where none is given.
    :param file_cls: Class of the files; :class:`FileObject` where none is given.
    """

    def __init__(self, record: Any, bucket: Bucket | None = None, file_cls: type[FileObject] | None = None) -> None:
        """Bind record and bucket."""
        self.record = record
        self.model = record.model
        self.bucket: Bucket = record.bucket if bucket is None else bucket
        self.file_cls = file_cls or FileObject
        self._it: Iterator[ObjectVersion] | None = None

    @property
    def filesmap(self) -> dict[str, dict[str, Any]]:
        """The entries of the record's ``_files`` by their keys, in order. What is changed in one is changed there."""
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
        # Another iterator than ours, so that there may be two at a time.
        return (self._file(obj, entries.get(obj.key)) for obj in objects)

    def __next__(self) -> FileObject:
        if self._it is None:
            self._it = iter(self._objects(self.bucket))
        obj = next(self._it)
        return self._file(obj, self.filesmap.get(obj.key))

    def next(self) -> FileObject:
        """Return the file after the last one that was returned.

        :raises StopIteration: If there is none.
        """
        return self.__next__()

    def __contains__(self, key: str) -> bool:
        return ObjectVersion.get(self.bucket, key) is not None

    def __getitem__(self, key: str) -> FileObject:
        """Return a file.

        :raises KeyError: If there is none of this key.
        """
        return self._file(self._object(key), self.filesmap.get(key))

    @_writable
    def __setitem__(self, key: str, stream: IO[bytes]) -> None:
        """Store a file, or a new version of one, which begins without metadata.

        :raises invenio_files_rest.errors.FilesException: If the bucket does not take it.
        """
        ObjectVersion.create(self.bucket, key, stream=stream)
        if (entry := self.filesmap.get(key)) is not None:
            entry.clear()
            entry["key"] = key
        self.flush()

    @_writable
    def __delitem__(self, key: str) -> None:
        """Delete a file; its versions stay in the bucket.

        :raises KeyError: If there is none of this key.
        """
        if ObjectVersion.delete(self.bucket, key) is None:
            raise KeyError(key)
        self.flush()

    @_writable
    def rename(self, old_key: str, new_key: str) -> ObjectVersion:
        """Give a file another key. It keeps its metadata and its place; no byte is copied.

        :param old_key: Key of the file.
        :param new_key: Its key from now on.
        :returns: The object of the new key.
        :raises KeyError: If there is no file of the old key.
        :raises InvalidOperationError: If there is a file of the new key already.
        """
        obj = self._object(old_key)
        if new_key in self:
            raise InvalidOperationError(description="There is a file of this key already.")
        renamed = obj.copy(key=new_key)
        ObjectVersion.delete(self.bucket, old_key)
        if (entry := self.filesmap.get(old_key)) is not None:
            entry["key"] = new_key
        self.flush()
        return renamed

    def sort_by(self, *ids: str | uuid.UUID) -> None:
        """Put the files in order.

        :param ids: Keys or file identifiers, in the order wanted. Files that are not named follow, as they were.
        :raises KeyError: If there is no such file.
        """
        self.flush()
        entries = self.filesmap
        keys = {entry.get("file_id"): key for key, entry in entries.items()} | {key: key for key in entries}
        wanted = dict.fromkeys(keys[str(id_)] for id_ in ids)
        self.record[FILES] = [entries[key] for key in dict.fromkeys([*wanted, *entries])]

    def flush(self) -> None:
        """Write the files to the record, as they are in the bucket and as :meth:`dumps` has them.

        The entry of a file stays the same object, so that who holds one has what is written.
        """
        entries, dumped = self.filesmap, self.dumps()
        if dumped or FILES in self.record:
            self.record[FILES] = [_update(entries.get(entry.get("key", ""), entry), entry) for entry in dumped]

    def dumps(self, bucket: Bucket | None = None) -> list[dict[str, Any]]:
        """Return the entries of the files.

        :param bucket: A bucket to take the objects from; the record's own where none is given.
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
        """Add the entry of a file that came into the bucket by another way, such as REST."""
        entry = self.filesmap.get(file.key)
        if entry is None:
            self.record.setdefault(FILES, []).append(file.data)
            file.data.update(file.dumps())
        else:
            entry.update(file.data)
            file.data = entry
        file._adopt = None
