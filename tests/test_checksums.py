"""Checksums of streams."""

from __future__ import annotations

import hashlib
import io

import pytest

from invenio_files_rest.checksums import (
    DEFAULT_CHUNK_SIZE,
    chunk_size_or_default,
    compute_checksum,
    compute_md5_checksum,
)
from invenio_files_rest.errors import StorageError


class BrokenStream:
    def read(self, size: int = -1, /) -> bytes:
        raise OSError("The disk /secret is broken.")


def test_a_checksum_names_its_algorithm() -> None:
    expected = "sha256:" + hashlib.sha256(b"content").hexdigest()
    assert compute_checksum(io.BytesIO(b"content"), "sha256", hashlib.sha256()) == expected


def test_md5_is_computed_in_chunks() -> None:
    content = bytes(range(256)) * 10
    assert compute_md5_checksum(io.BytesIO(content), chunk_size=7) == "md5:" + hashlib.md5(content).hexdigest()


def test_progress_is_the_number_of_bytes_read() -> None:
    calls: list[int] = []
    compute_md5_checksum(io.BytesIO(b"0123456789"), chunk_size=4, progress_callback=calls.append)
    assert calls == [4, 8, 10]


def test_a_stream_that_cannot_be_read_is_a_storage_error_that_tells_clients_nothing() -> None:
    with pytest.raises(StorageError) as error:
        compute_md5_checksum(BrokenStream())
    assert isinstance(error.value.__cause__, OSError)
    assert "/secret" in error.value.get_errors()
    assert "/secret" not in str(error.value.description)


@pytest.mark.parametrize(("given", "expected"), [(None, DEFAULT_CHUNK_SIZE), (0, DEFAULT_CHUNK_SIZE), (5, 5)])
def test_a_chunk_size_has_a_default(given: int | None, expected: int) -> None:
    assert chunk_size_or_default(given) == expected
