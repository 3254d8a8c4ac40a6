"""What must be true of the installation, asked of its database, its folder and its object store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from crash.client import Ledger
from crash.invariants import CLAIMS_TOO_SMALL, FILES, PARTS, Witness

from .installation import STORE, Installation


class InstallationWitness(Witness):
    """Whoever looks at what is left of an installation.

    :param installation: The installation.
    """

    def __init__(self, installation: Installation) -> None:
        """Connect to its store."""
        super().__init__(installation.database.folder, installation.files)
        self.port = installation.database.port
        if installation.ceph:
            from invenio_files_rest.storage.s3 import S3Location
            from invenio_files_rest.storage.s3.client import client_of

            ceph = installation.ceph
            keys = {"access_key_id": ceph.access_key, "secret_access_key": ceph.secret_key}
            endpoint = f"http://127.0.0.1:{ceph.port}"
            self.store = client_of(S3Location(STORE, endpoint_url=endpoint, region_name="us-east-1", **keys))
        else:
            self.store = None

    def connect(self) -> Any:
        """Connect to the database, which listens to this machine."""
        return psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="files")

    @staticmethod
    def _object(uri: str) -> dict[str, str]:
        parts = urlsplit(uri)
        return {"Bucket": parts.netloc, "Key": parts.path[1:]}

    def size(self, uri: str) -> int | None:
        """Return the size of a file or an object."""
        if not uri.startswith("s3:"):
            return super().size(uri)
        place = self._object(uri)
        found = self.store.list_objects_v2(Bucket=place["Bucket"], Prefix=place["Key"]).get("Contents", [])
        return next((int(entry["Size"]) for entry in found if entry["Key"] == place["Key"]), None)

    def read(self, uri: str) -> bytes:
        """Return what is in a file or an object."""
        if not uri.startswith("s3:"):
            return super().read(uri)
        return bytes(self.store.get_object(**self._object(uri))["Body"].read())

    def grows_in_place(self, uri: str) -> bool:
        """Tell whether it is in the folder: an object is there as a whole, or not at all."""
        return not uri.startswith("s3:")

    def look_at_uploads(self, ledgers: list[Ledger]) -> None:
        """Check that parts that were acknowledged are there, with their checksums, and are counted."""
        assert self.ask(CLAIMS_TOO_SMALL) == []
        rows = {}
        for upload, uri, part_size, size, number, checksum in self.ask(PARTS):
            rows[upload, number] = checksum
            if number is not None and not uri.startswith("s3:"):
                start = number * part_size
                part = self.read(uri)[start : min(start + part_size, size)]
                assert checksum == f"md5:{hashlib.md5(part).hexdigest()}", f"The part {number} of {upload} is another."
        for ledger in ledgers:
            for upload, parts in ledger.fixed.items():
                for number, content in parts.items():
                    assert rows[upload, number] == f"md5:{hashlib.md5(content).hexdigest()}", (upload, number)

    def look_for_leftovers(self) -> None:
        """Check that folder and store have what rows name, and nothing else, when no upload is in progress."""
        named = {uri for uri, *_ in self.ask(FILES)}
        there = {str(path) for path in self.files.rglob("*") if path.is_file()}
        marks = {path for path in there if Path(path).name == ".invenio-files-location"}
        if self.store:
            bucket = urlsplit(STORE).netloc
            pages = self.store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            there |= {f"s3://{bucket}/{entry['Key']}" for page in pages for entry in page.get("Contents", [])}
            assert self.store.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        assert there - marks == named
