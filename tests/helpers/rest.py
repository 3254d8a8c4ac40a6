"""What the tests of the REST API share: URLs, bodies, and what is left in the database and on the disk."""

from __future__ import annotations

import contextvars
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlencode

from flask.testing import EnvironBuilder
from invenio_db import db
from sqlalchemy import event, func, select

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from invenio_files_rest.models import Bucket

CONTENT = b"Some bytes of a file.\n"


def url(bucket: Bucket | Any, key: str | None = None, **query: Any) -> str:
    """Return the path of a bucket or an object; a query argument that is true has no value."""
    path = f"/files/{getattr(bucket, 'id', bucket)}"
    if key is not None:
        path += "/" + quote(key, safe="/")
    arguments = "&".join(name if value is True else urlencode({name: value}) for name, value in query.items())
    return f"{path}?{arguments}" if arguments else path


def exact_path(path: str) -> dict[str, str]:
    """Return the part of a WSGI environment that has a path byte for byte, where a test client replaces bytes."""
    return {"PATH_INFO": unquote_to_bytes(path).decode("latin-1")}


def put(client: FlaskClient, bucket: Any, key: str = "a.txt", data: Any = CONTENT, **kwargs: Any) -> dict[str, Any]:
    """Store an object, and return what the answer shows."""
    response = client.put(url(bucket, key), data=data, **kwargs)
    assert response.status_code == 200, response.text
    return dict(response.json)


def error(response: TestResponse, status: int) -> dict[str, Any]:
    """Check that a response is an error as they all are, and return it."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    answer = dict(response.json)
    assert answer["status"] == status
    assert isinstance(answer["message"], str)
    assert answer["message"]
    assert set(answer) <= {"status", "message", "errors"}
    for item in answer.get("errors", []):
        assert set(item) == {"field", "message"}
    return answer


def tree(folder: Path) -> list[str]:
    """Return the paths of all files and folders below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def stored(location: Any) -> list[bytes]:
    """Return the contents of all files in a location."""
    return sorted(path.read_bytes() for path in Path(location.uri).rglob("*") if path.is_file())


def rows() -> dict[str, int]:
    """Return the number of rows of each table, and the size of all buckets together."""
    from invenio_files_rest.models import Bucket

    db.session.commit()
    tables = [table for table in db.metadata.sorted_tables if table.name.startswith("files_")]
    found = {table.name: db.session.scalar(select(func.count()).select_from(table)) for table in tables}
    found["size"] = int(db.session.scalar(select(func.sum(Bucket.size))) or 0)
    db.session.rollback()
    return found


@contextmanager
def nothing_stays(location: Any) -> Iterator[None]:
    """Check that the database and the disk are afterwards as they were before."""
    before = rows(), tree(Path(location.uri))
    yield
    assert (rows(), tree(Path(location.uri))) == before


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that this thread sends to the database: another one looks after leases each second."""
    found: list[str] = []
    engine, caller = db.engine, threading.get_ident()
    db.session.commit()

    def note(connection: Any, cursor: Any, statement: str, *args: Any) -> None:
        if threading.get_ident() == caller:
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


class Unreadable(io.RawIOBase):
    """A body that nobody may read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("The body is read.")


class Watched(io.RawIOBase):
    """A body of so many bytes, with a function that is called whenever some of it is read."""

    def __init__(self, size: int, watch: Any) -> None:
        self.left = size
        self.watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.watch()
        size = min(len(buffer), self.left, 65536)
        buffer[:size] = b"w" * size
        self.left -= size
        return size


def put_stream(
    client: FlaskClient, bucket: Any, key: str, stream: Any, length: int | None = 100, **kwargs: Any
) -> TestResponse:
    """Send a stream: announced with its length, or chunked where that is ``None``."""
    told = {"wsgi.input_terminated": True} if length is None else {"CONTENT_LENGTH": str(length)}
    return client.put(
        url(bucket, key, **kwargs.pop("query", {})), environ_overrides={"wsgi.input": stream, **told}, **kwargs
    )


def run_on_server(app: Any, path: str, each: Callable[[bytes], Any], **kwargs: Any) -> tuple[str, int]:
    """Send a request as a server does, which iterates over the body when the application has returned.

    :param each: Called with each chunk of the body.
    :returns: The status, and the number of bytes.
    """
    environ = EnvironBuilder(app, path, **kwargs).get_environ()
    status: list[str] = []

    def run() -> int:
        body = app.wsgi_app(environ, lambda line, *args: status.append(line))
        size = 0
        try:
            for chunk in body:
                size += len(chunk)
                each(chunk)
        finally:
            body.close()
        return size

    size = contextvars.Context().run(run)
    return status[0], size
