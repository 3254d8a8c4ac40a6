"""An object of a store, which need not exist, and what the store can be asked about it and those around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from ...errors import StorageBusyError, StorageError
from ..local import TEMPORARY_PREFIX
from .client import client_of
from .failures import translated_errors
from .locations import S3Location, place_of

_MD5 = re.compile("[0-9a-f]{32}")


class Sendable(Protocol):
    """The body of a request."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Read bytes."""

    def md5(self) -> str | None:
        """Return the MD5 of all bytes, once they have been read, in hexadecimal; ``None`` if it is not known."""


def has_md5(answer: Mapping[str, Any]) -> bool:
    """Return whether the entity tag of a part or of a small object is its MD5.

    It is not if the store encrypts with keys of its own, or of the client.

    :param answer: What the store says of it, or of the upload.
    """
    return "kms" not in answer.get("ServerSideEncryption", "") and "SSECustomerAlgorithm" not in answer


def unquoted(tag: str) -> str:
    """Return an entity tag without quotes, and in lower case, as some stores do not write an MD5; see :func:`has_md5`.

    :param tag: The tag.
    """
    return tag.strip('"').lower()


def md5_in(tag: str) -> str | None:
    """Return the MD5 that an entity tag is, in hexadecimal.

    :param tag: The tag.
    :returns: ``None`` if it is none, as that of an object which was sent in parts, or as all tags of some stores.
    """
    bare = unquoted(tag)
    return bare if _MD5.fullmatch(bare) else None


class S3Item(NamedTuple):
    """An object in a listing."""

    name: str
    size: int
    modified: float
    """When it was last changed, as Unix time."""


class S3Upload(NamedTuple):
    """An upload in parts that is not completed, in a listing."""

    key: str
    upload_id: str
    begun: float
    """When it was begun, as Unix time."""


class S3Object:
    """An object of a store.

    :param location: Its location.
    :param uri: Its URI.
    """

    def __init__(self, location: S3Location, uri: str) -> None:
        """Find bucket and key."""
        self.location = location
        self.uri = uri
        bucket, key = place_of(uri)
        self.address = {"Bucket": bucket, "Key": key}

    def beside(self, name: str) -> S3Object:
        """Return the object of another name in the same folder.

        :param name: The name.
        """
        return S3Object(self.location, f"{self.uri.rpartition('/')[0]}/{name}")

    def call(self, operation: str, **kwargs: Any) -> dict[str, Any]:
        """Have the store do something with this object.

        :param operation: Name of a method of boto3's client.
        :param kwargs: Its arguments besides bucket and key.
        :returns: What it returns.
        :raises FileNotFoundError: If there is no such object or upload.
        :raises StorageError: If the store fails; see :func:`.translated_errors`.
        """
        with translated_errors():
            answer: dict[str, Any] = getattr(client_of(self.location), operation)(**self.address, **kwargs)
        return answer

    def send(self, operation: str, body: Sendable, size: int, **kwargs: Any) -> str:
        """Send bytes, and compare what the store has got with them where the location says so.

        :param operation: ``put_object`` or ``upload_part``.
        :param body: The bytes.
        :param size: Their number.
        :param kwargs: Other arguments; see :meth:`call`.
        :returns: The entity tag; empty if the store tells none.
        :raises StorageBusyError: If the store has got other bytes. Nothing is left of an object.
        :raises StorageError: If the store fails.
        """
        answer = self.call(operation, Body=body, ContentLength=size, **kwargs)
        tag, expected = str(answer.get("ETag", "")), body.md5()
        if expected and has_md5(answer) and md5_in(tag) not in (None, expected):
            if operation == "put_object":
                # What cannot be removed now the sweep finds.
                with suppress(StorageError):
                    self.call("delete_object")
            raise StorageBusyError(f"The object store has got other bytes than were sent: {tag} instead of {expected}.")
        return tag

    def ask(self, operation: str, **kwargs: Any) -> dict[str, Any]:
        """Have the store list something of the bucket; see :meth:`call`.

        :param operation: Name of a method of boto3's client.
        :param kwargs: Its arguments besides the bucket.
        """
        with translated_errors():
            answer: dict[str, Any] = getattr(client_of(self.location), operation)(
                Bucket=self.address["Bucket"], **kwargs
            )
        return answer

    def temporary(self) -> Iterator[S3Item]:
        """Find the objects beside this one that are not yet a part of it."""
        folder = self.address["Key"].removesuffix(self.address["Key"].rpartition("/")[2])
        for key, size, modified in self.keys(folder + TEMPORARY_PREFIX):
            yield S3Item(key.removeprefix(folder), size, modified)

    def keys(self, prefix: str) -> Iterator[S3Item]:
        """Find the objects of the bucket whose keys begin alike, a page at a time.

        :param prefix: What the keys begin with.
        """
        after = ""
        while True:
            answer = self.ask("list_objects_v2", Prefix=prefix, StartAfter=after)
            for item in answer.get("Contents", []):
                after = item["Key"]
                yield S3Item(after, item["Size"], item["LastModified"].timestamp())
            if not answer.get("IsTruncated"):
                return

    def uploads(self, prefix: str) -> Iterator[S3Upload]:
        """Find the uploads of the bucket that are neither completed nor aborted, whose keys begin alike.

        :param prefix: What the keys begin with.
        """
        markers: dict[str, str] = {}
        while True:
            answer = self.ask("list_multipart_uploads", Prefix=prefix, **markers)
            for item in answer.get("Uploads", []):
                yield S3Upload(item["Key"], item["UploadId"], item["Initiated"].timestamp())
            if not answer.get("IsTruncated"):
                return
            markers = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def parts(self, upload_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """Find the parts of an upload in order, as the store describes them.

        Of a part that was sent again, SeaweedFS lists both, and makes the file of the one whose entity tag is named.

        :param upload_id: The store's identifier of the upload.
        :param after: Number of the part to begin after.
        :raises FileNotFoundError: If the upload was completed or aborted.
        """
        listed = self._listed_parts(upload_id, after)
        for _, same in groupby(listed, key=itemgetter("PartNumber")):
            yield max(same, key=itemgetter("LastModified"))

    def _listed_parts(self, upload_id: str, after: int) -> Iterator[dict[str, Any]]:
        while True:
            answer = self.call("list_parts", UploadId=upload_id, PartNumberMarker=after)
            for part in answer.get("Parts", []):
                after = part["PartNumber"]
                yield part
            if not answer.get("IsTruncated"):
                return

    def last_part(self, upload_id: str) -> float:
        """Return when the last part of an upload has come, as Unix time; 0 if it has none.

        :param upload_id: The store's identifier of the upload.
        :raises FileNotFoundError: If the upload was completed or aborted.
        """
        return max((part["LastModified"].timestamp() for part in self.parts(upload_id)), default=0.0)

    def size(self) -> int | None:
        """Return the size in bytes; ``None`` if there is no such object."""
        try:
            return int(self.call("head_object")["ContentLength"])
        except FileNotFoundError:
            return None
