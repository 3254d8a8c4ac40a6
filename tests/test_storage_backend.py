"""A backend can be written from the documentation alone."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from flask import Flask

from invenio_files_rest.storage import FileStorage

FILES: dict[str, bytes] = {}


class DictStorage(FileStorage):
    """A backend of the mandatory methods, which uses nothing of ours."""

    def __init__(self, name: str, size: int | None = None, modified: Any = None) -> None:
        super().__init__(size=size, modified=modified)
        self.name = name

    def initialize(self, size: int = 0) -> Any:
        FILES[self.name] = bytes(size)
        return self.name, size, None

    def open(self, mode: str | None = None) -> Any:
        return io.BytesIO(FILES[self.name])

    def save(self, incoming_stream: Any, size_limit: Any = None, size: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        data = incoming_stream.read()
        FILES[self.name] = data
        return self.name, len(data), None

    def update(self, incoming_stream: Any, seek: int = 0, **kwargs: Any) -> Any:  # type: ignore[override]
        data = incoming_stream.read()
        old = FILES[self.name]
        FILES[self.name] = old[:seek] + data + old[seek + len(data) :]
        return len(data), None

    def delete(self) -> bool:
        FILES.pop(self.name, None)
        return True


class Sha256Storage(DictStorage):
    """A backend with another checksum."""

    def _init_hash(self) -> Any:
        return "sha256", hashlib.sha256()

    def save(self, incoming_stream: Any, size_limit: Any = None, size: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        target = io.BytesIO()
        result = self._write_stream(incoming_stream, target, size=size, size_limit=size_limit)
        FILES[self.name] = target.getvalue()
        return self.name, *result


class UnhashedStorage(Sha256Storage):
    """A backend without checksums."""

    def _init_hash(self) -> Any:
        return None, None


@pytest.fixture(autouse=True)
def _empty() -> None:
    FILES.clear()


@pytest.mark.parametrize("method", ["open", "initialize", "delete"])
def test_the_interface_implements_none_of_the_mandatory_methods(method: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(FileStorage(), method)()


@pytest.mark.parametrize("method", ["save", "update"])
def test_the_interface_stores_nothing(method: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(FileStorage(), method)(io.BytesIO())


def test_a_backend_of_the_mandatory_methods_computes_checksums() -> None:
    storage = DictStorage("a")
    storage.save(io.BytesIO(b"content"))
    assert storage.checksum() == "md5:" + hashlib.md5(b"content").hexdigest()


def test_a_backend_of_the_mandatory_methods_copies() -> None:
    FILES["a"] = b"content"
    DictStorage("b").copy(DictStorage("a", size=7))
    assert FILES["b"] == b"content"


def test_a_backend_of_the_mandatory_methods_sends_files() -> None:
    FILES["a"] = b"content"
    with Flask("app").test_request_context():
        response = DictStorage("a", size=7, modified=1600000000).send_file("a.txt", checksum="md5:00")
        assert b"".join(response.iter_encoded()) == b"content"
        assert response.headers["Content-MD5"] == "00"
        assert response.headers["Last-Modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"


def test_a_backend_has_no_path_on_this_machine_by_default() -> None:
    assert DictStorage("a").local_path() is None


def test_a_backend_may_hash_with_another_algorithm() -> None:
    expected = "sha256:" + hashlib.sha256(b"content").hexdigest()
    storage = Sha256Storage("a")
    assert storage.save(io.BytesIO(b"content")) == ("a", 7, expected)
    assert storage.checksum() == expected


def test_only_md5_is_sent_as_content_md5() -> None:
    FILES["a"] = b"content"
    with Flask("app").test_request_context():
        response = Sha256Storage("a", size=7).send_file("a.txt", checksum="sha256:00")
        assert "Content-MD5" not in response.headers
        response.close()


def test_a_backend_may_go_without_checksums() -> None:
    storage = UnhashedStorage("a")
    assert storage.save(io.BytesIO(b"content")) == ("a", 7, None)
    assert storage.checksum() is None
