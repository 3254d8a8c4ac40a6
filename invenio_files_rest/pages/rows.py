"""What a page shows of a file or a folder."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import request

from ..keys import paths_of
from .answers import API

_LONGEST_TYPE = 5


@dataclass(frozen=True)
class Row:
    """A file or a folder in a list."""

    key: str
    name: str
    """Its key without that of the folder which it is in."""

    is_folder: bool = False
    size: int | None = None
    """Size in bytes; ``None`` where it is not known."""

    created: datetime | None = None
    """When it was stored; ``None`` where it is not known."""

    version_id: uuid.UUID | None = None
    checksum: str | None = None
    url: str = ""
    """Where to get it."""

    details: str = ""
    """Where its own page is."""

    api: str = ""
    """Its URL in the REST API; nothing where it has none without the identifier of a version."""

    @property
    def type(self) -> str:
        """What its name ends with, in capitals; nothing where that does not look like a type."""
        _, dot, suffix = self.name.rpartition(".")
        return suffix.upper() if dot and suffix.isascii() and suffix.isalnum() and len(suffix) <= _LONGEST_TYPE else ""


def folder_row(key: str, prefix: str, size: int | None = None, created: datetime | None = None) -> Row:
    """Return the row of a folder.

    :param key: What the keys in it begin with.
    :param prefix: What the keys in the folder begin with that it is in.
    :param size: Size of all files in it, in bytes.
    :param created: When the latest of them was stored.
    """
    return Row(key, key[len(prefix) : -1], is_folder=True, size=size, created=created)


def file_row(obj: Any, prefix: str = "") -> Row:
    """Return the row of a version.

    :param obj: The version, or the listed object.
    :param prefix: What the keys in the folder begin with that it is in.
    """
    return Row(
        key=obj.key,
        name=obj.key[len(prefix) :],
        size=obj.file.size if obj.file else None,
        created=obj.created,
        version_id=obj.version_id,
        checksum=obj.file.checksum if obj.file else None,
        url=_version_url("buckets", obj),
        details=_version_url("details", obj),
        api=api_url(obj.bucket_id, obj.key),
    )


def _version_url(base: str, obj: Any) -> str:
    """Return a URL of a version, which a browser leaves as it is; see :mod:`invenio_files_rest.keys`."""
    path, with_identifier = paths_of(obj.key)
    url = f"{request.root_path}/{base}/{obj.bucket_id}"
    # The head needs no identifier.
    return f"{url}/{path}" if path and obj.is_head else f"{url}/{with_identifier}?versionId={obj.version_id}"


def api_url(bucket_id: uuid.UUID, key: str | None = None) -> str:
    """Return the URL of a bucket or an object in the REST API, for requests with the session; nothing if it has none.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    """
    url = f"{request.root_path}/{API}/{bucket_id}"
    if key is None:
        return url
    path, _ = paths_of(key)
    return f"{url}/{path}" if path else ""
