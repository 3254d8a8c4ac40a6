"""Finding what storage has made in a location of an object store, unfinished uploads included."""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterator
from posixpath import join

from ...errors import StorageError
from ...paths import remote_spellings
from ..capabilities import Entry
from ..listing import FILE_NAME, identifier_of
from ..local import TEMPORARY_PREFIX
from .locations import S3Location
from .objects import S3Object
from .writing import abort

_UPLOAD = "?uploadId="


class S3Listing:
    """The files of a location; see :class:`~invenio_files_rest.storage.capabilities.Listable`.

    Only what lies where storage puts a file is found, among the objects as among the uploads: others in the same
    bucket may be of other applications.

    :param location: The location in the settings.
    """

    def __init__(self, location: S3Location) -> None:
        """Remember the location."""
        self._location = location

    def _base(self, uri: str) -> tuple[S3Object, str]:
        """Return an object of the location, and what the keys of its files begin with."""
        some = S3Object(self._location, f"{uri}/{FILE_NAME}")
        return some, some.address["Key"].removesuffix(FILE_NAME)

    def walk(self, uri: str, before: float, followed: Container[str] = ()) -> Iterator[Entry]:
        """Find files, objects that are parts of one, and the store's unfinished uploads, if they are not young.

        An upload is as young as its last part.
        """
        some, prefix = self._base(uri)
        for key, size, modified in some.keys(prefix):
            below = key.removeprefix(prefix)
            file_id = _owner(below)
            if file_id is None or modified >= before:
                continue
            if below.rpartition("/")[2] == FILE_NAME:
                given = join(uri, below)
                uris = given, *sorted(remote_spellings(uri, below) - {given})
                yield Entry(key, below, "file", file_id, size, uris)
            else:
                yield Entry(key, below, "temporary", file_id, size)
        for key, upload_id, begun in some.uploads(prefix):
            below = key.removeprefix(prefix)
            file_id = _owner(below)
            if file_id is not None and begun < before and self._is_idle(join(uri, below), upload_id, before):
                yield Entry(f"{key}{_UPLOAD}{upload_id}", below, "temporary", file_id, 0)

    def _is_idle(self, uri: str, upload_id: str, before: float) -> bool:
        """Return whether an upload is there, and has got no part since a time."""
        try:
            return S3Object(self._location, uri).last_part(upload_id) < before
        except FileNotFoundError:
            return False

    def remove(self, uri: str, entry: Entry) -> None:
        """Remove an object, or abort an upload."""
        target = S3Object(self._location, join(uri, entry.below))
        key, _, upload_id = entry.path.partition(_UPLOAD)
        if key != target.address["Key"]:
            raise StorageError(f"{entry.path} is not in {uri}.")
        if upload_id:
            abort(target, upload_id)
        else:
            target.call("delete_object")


def _owner(below: str) -> uuid.UUID | None:
    """Return the identifier of the file that an object belongs to; ``None`` if it is none of ours."""
    folder, _, name = below.rpartition("/")
    return identifier_of(folder) if name == FILE_NAME or name.startswith(TEMPORARY_PREFIX) else None
