"""The suite for ``send_file``. It needs Flask."""

from __future__ import annotations

from contextlib import closing

import pytest
from flask import Flask, Response

from ..errors import StorageError
from ..storage.base import FileStorage
from .base import Contract, MakeStorage


class SendingContract(Contract):
    """The application itself sends the file, and ranges of it."""

    @staticmethod
    def sent(response: Response) -> bytes:
        """Return what a response sends, and close it."""
        with closing(response):
            return b"".join(response.iter_encoded())

    def test_a_file_is_sent(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """With its type and its checksum."""
        _, size, checksum = self.save(storage, b"0123456789")
        with Flask("contract").test_request_context():
            response = make_storage("file", size=size).send_file("file.txt", checksum=checksum)
            assert response.status_code == 200
            assert response.mimetype == "text/plain"
            assert response.get_etag() == (checksum, False)
            assert response.content_length == 10
            assert self.sent(response) == b"0123456789"

    def test_a_range_of_a_file_is_sent(self, storage: FileStorage, make_storage: MakeStorage) -> None:
        """If the application allows ranges."""
        size = self.save(storage, b"0123456789")[1]
        app = Flask("contract")
        app.config["FILES_REST_ALLOW_RANGE_REQUESTS"] = True
        with app.test_request_context(headers={"Range": "bytes=2-4"}):
            response = make_storage("file", size=size).send_file("file.txt")
            assert response.status_code == 206
            assert response.headers["Content-Range"] == "bytes 2-4/10"
            assert self.sent(response) == b"234"

    def test_a_file_that_is_not_there_cannot_be_sent(self, storage: FileStorage) -> None:
        """The client does not learn its path."""
        with Flask("contract").test_request_context():
            with pytest.raises(StorageError) as error:
                storage.send_file("file.txt")
            uri = getattr(storage, "fileurl", "memory:")
            assert uri not in str(error.value.description)
            assert uri not in error.value.get_body()
            assert error.value.__cause__ is not None
