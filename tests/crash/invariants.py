"""What must be true after every crash, asked of the database and the disk without the code that wrote them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import psycopg2

from .client import Ledger
from .resumable import version_of

FILES = """
SELECT uri, size, checksum, readable AND id NOT IN (SELECT file_id FROM files_multipartobject) FROM files_files
"""

SIZES = """
SELECT b.id, b.size, COALESCE(v.size, 0) + COALESCE(u.size, 0) + COALESCE(c.size, 0)
FROM files_bucket b
LEFT JOIN (SELECT o.bucket_id, SUM(f.size) AS size FROM files_object o JOIN files_files f ON f.id = o.file_id
           GROUP BY o.bucket_id) v ON v.bucket_id = b.id
LEFT JOIN (SELECT bucket_id, SUM(size) AS size FROM files_multipartobject GROUP BY bucket_id) u ON u.bucket_id = b.id
LEFT JOIN (SELECT bucket_id, SUM(claimed) AS size FROM files_upload GROUP BY bucket_id) c ON c.bucket_id = b.id
WHERE b.size != COALESCE(v.size, 0) + COALESCE(u.size, 0) + COALESCE(c.size, 0)
"""

HEADS = "SELECT bucket_id, key, COUNT(*) FROM files_object WHERE is_head GROUP BY bucket_id, key HAVING COUNT(*) > 1"

VERSIONS = """
SELECT o.version_id::text, o.key, o.is_head, f.uri, f.readable
FROM files_object o LEFT JOIN files_files f ON f.id = o.file_id WHERE o.bucket_id = %s
"""

ORPHANS = """
SELECT id FROM files_files f
WHERE NOT EXISTS (SELECT 1 FROM files_object o WHERE o.file_id = f.id)
AND NOT EXISTS (SELECT 1 FROM files_multipartobject u WHERE u.file_id = f.id)
"""

EXTENTS = """
SELECT u.id::text, u.status, u.state, e.number, e.size, e.receipt
FROM files_upload u LEFT JOIN files_upload_extent e ON e.upload_id = u.id AND e.receipt IS NOT NULL
"""

PARTS = """
SELECT u.upload_id::text, f.uri, u.chunk_size, u.size, p.part_number, p.checksum FROM files_multipartobject u
JOIN files_files f ON f.id = u.file_id LEFT JOIN files_multipartobject_part p ON p.upload_id = u.upload_id
"""

CLAIMS_TOO_SMALL = """
SELECT u.id, u.claimed, SUM(e.size) FROM files_upload u JOIN files_upload_extent e ON e.upload_id = u.id
WHERE u.status != 'joined' GROUP BY u.id, u.claimed HAVING u.claimed < SUM(e.size)
"""


class Witness:
    """Whoever looks at what is left.

    :param database: Folder of the socket of PostgreSQL.
    :param files: Folder of the locations.
    """

    def __init__(self, database: Path, files: Path) -> None:
        """Keep the folders."""
        self.database = database
        self.files = files

    def connect(self) -> Any:
        """Connect to the database."""
        return psycopg2.connect(host=str(self.database), user="postgres", dbname="postgres")

    def ask(self, query: str, *arguments: Any) -> list[Any]:
        """Ask the database, or change it."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, arguments or None)
                found = list(cursor.fetchall())
            connection.commit()
            return found
        finally:
            connection.close()

    def size(self, uri: str) -> int | None:
        """Return the size of a file in bytes; ``None`` where there is none."""
        path = Path(uri)
        return path.stat().st_size if path.exists() else None

    def read(self, uri: str) -> bytes:
        """Return what is in a file."""
        return Path(uri).read_bytes()

    def grows_in_place(self, uri: str) -> bool:
        """Tell whether a file is there from the beginning of the upload that it is of."""
        return True

    def digest(self, uri: str) -> str:
        """Return the MD5 of a file."""
        return hashlib.md5(self.read(uri)).hexdigest()

    def look_at_files(self) -> None:
        """Check that rows of files and bytes agree."""
        for uri, size, checksum, stored in self.ask(FILES):
            if not stored and not self.grows_in_place(uri):
                continue
            there = self.size(uri)
            assert there is not None, f"A row names {uri}, which is not there."
            assert there == size, f"{uri} has {there} bytes, not {size}."
            if stored:
                assert checksum == f"md5:{self.digest(uri)}", f"{uri} is not what was stored."

    def look(self, bucket: str, ledgers: list[Ledger]) -> None:
        """Check that nothing that was promised is lost, and that rows agree."""
        assert self.ask(SIZES) == []
        assert self.ask(HEADS) == []
        found = {row[0]: row[1:] for row in self.ask(VERSIONS, bucket)}
        heads = {key: version for version, (key, is_head, *_) in found.items() if is_head}
        for ledger in ledgers:
            for version, digest in ledger.versions.items():
                assert version in found, f"The version {version} was acknowledged, and is not there."
                key, _, uri, readable = found[version]
                assert readable, f"The version {version} of {key} is not readable."
                assert self.digest(uri) == digest, f"{version} of {key} has changed."
            assert not ledger.removed & set(found), "A version that was removed is there again."
            for key, head in ledger.heads.items():
                latest = heads[key]
                if head is None:
                    assert found[latest][2] is None, f"{key} was deleted, and is there."
                else:
                    assert latest == head, f"The head of {key} is {latest}, not {head}."

    def look_at_uploads(self, ledgers: list[Ledger]) -> None:
        """Check that the bytes of uploads in progress are those that were acknowledged, and are counted."""
        assert self.ask(CLAIMS_TOO_SMALL) == []
        found: dict[str, dict[int, bytes]] = {}
        for upload, status, state, number, size, receipt in self.ask(EXTENTS):
            if status == "open":
                extents = found.setdefault(upload, {})
                if number is not None:
                    extents[number] = self._bytes(json.loads(state)["uri"], json.loads(receipt))
                    assert len(extents[number]) == size
        fixed = self._fixed_parts()
        for ledger in ledgers:
            for upload, parts in ledger.fixed.items():
                for number, content in parts.items():
                    assert fixed[upload][number] == content, f"The part {number} of {upload} has changed."
            for upload, content in list(ledger.runs.items()):
                if upload in ledger.whole and upload not in found:
                    # The last bytes have come, too.
                    del ledger.runs[upload]
                    ledger.later[version_of(upload)] = hashlib.md5(ledger.whole[upload]).hexdigest()
                    continue
                # More may have come than anybody was told.
                assert found[upload].get(0, b"").startswith(content), f"Bytes of {upload} are not there any more."
            for upload, parts in ledger.extents.items():
                for number, content in parts.items():
                    assert found[upload][number] == content, f"The part {number} of {upload} has changed."

    def _fixed_parts(self) -> dict[str, dict[int, bytes]]:
        """Return the parts that rows stand for, by upload and number; their bytes have to be those of the rows."""
        found: dict[str, dict[int, bytes]] = {}
        for upload, uri, part_size, size, number, checksum in self.ask(PARTS):
            parts = found.setdefault(upload, {})
            if number is not None:
                start = number * part_size
                parts[number] = self.read(uri)[start : min(start + part_size, size)]
                digest = hashlib.md5(parts[number]).hexdigest()
                assert checksum == f"md5:{digest}", f"The part {number} of {upload} is not what its row says."
        return found

    @staticmethod
    def _bytes(uri: str, receipt: Any) -> bytes:
        content = b""
        for name, start, size in receipt["pieces"]:
            with (Path(uri).parent / f".incoming-{name}").open("rb") as file:
                file.seek(start)
                content += file.read(size)
        return content

    def look_after_sweep(self, bucket: str, ledgers: list[Ledger]) -> None:
        """Check that nothing is on the disk that no row names, and no file in the database that nothing refers to.

        What was to be completed later is complete.
        """
        assert self.ask(ORPHANS) == []
        versions = self.ask(VERSIONS, bucket)
        found, at_key = {row[0]: row[3] for row in versions}, {row[1]: row[3] for row in versions}
        for ledger in ledgers:
            for version, digest in ledger.later.items():
                assert version in found, f"The version {version} was to be there later, and is not."
                assert self.digest(found[version]) == digest
            assert ledger.at_least.keys() <= at_key.keys(), "Uploads were being joined, and are gone."
            for key in ledger.at_most.keys() & at_key.keys():
                assert self.digest(at_key[key]) == ledger.at_most[key]
        self.look_for_leftovers()

    def look_for_leftovers(self) -> None:
        """Check that there is nothing in storage that no row names."""
        named = {uri for uri, *_ in self.ask(FILES)}
        uploads = {Path(json.loads(row[2])["uri"]).parent for row in self.ask(EXTENTS) if row[1] == "open"}
        there = {str(path) for path in self.files.rglob("*") if path.is_file() and path.parent not in uploads}
        assert there == named
        empty = [path for path in self.files.rglob("*") if path.is_dir() and not any(path.iterdir())]
        assert [path for path in empty if path.parent != self.files] == []
