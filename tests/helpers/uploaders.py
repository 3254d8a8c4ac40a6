"""Another process that writes to an upload, as a request to another worker does.

It makes an application on the database and the folder of a test, writes what comes by a socket, and tells what came of
it. A server that has imported everything forks it, which takes a tenth of the time that a new process would.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from multiprocessing.connection import Connection
from typing import Any

from flask import Flask
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.services.uploads.plans import PLANS

_PROCESSES = multiprocessing.get_context("forkserver")
# What this module imports, and Invenio-DB; the server would not find this module itself.
_PROCESSES.set_forkserver_preload(
    [
        *("invenio_celery", "invenio_files_rest.services.uploads.plans"),
        *(models.module for models in entry_points(group="invenio_db.models")),
    ]
)


class Uploader:
    """A process that writes.

    :param database: URL of the database.
    :param what: Arguments of the method of the plan, and ``plan`` and ``upload``.
    """

    def __init__(self, database: str, **what: Any) -> None:
        """Start it, and wait until it is about to write."""
        self._ours, theirs = socket.socketpair()
        self._told, tells = _PROCESSES.Pipe(duplex=False)
        with theirs, tells:
            self.process = _PROCESSES.Process(target=upload, args=[database, theirs, tells, what], daemon=True)
            self.process.start()
        self.line()

    def line(self) -> Any:
        """Return what it says next."""
        return self._told.recv()

    def send(self, data: bytes) -> None:
        """Have it get bytes of the body."""
        self._ours.sendall(data)

    def go(self) -> None:
        """Have it begin."""
        self.send(b"g")

    def end(self) -> None:
        """End the body."""
        self._ours.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Kill it, whatever it does, and wait until it is gone."""
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        """End it, and the connection to it."""
        self._ours.close()
        self.kill()
        self.process.close()
        self._told.close()


@contextmanager
def uploader(database: Any, **what: Any) -> Iterator[Uploader]:
    """Run a process that writes."""
    process = Uploader(database.render_as_string(hide_password=False), **what)
    try:
        yield process
    finally:
        process.close()


class Body:
    """A connection as a body, which tells when the first bytes of it are asked for."""

    def __init__(self, connection: socket.socket, tell: Callable[[Any], None]) -> None:
        """Begin."""
        self._connection = connection
        self._tell = tell
        self._asked = False

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, as many as there are."""
        if not self._asked:
            self._asked = True
            self._tell("reading")
        return self._connection.recv(size if size > 0 else 65536)

    def shut(self) -> None:
        """End a read that waits."""
        self._connection.shutdown(socket.SHUT_RD)


def upload(database: str, connection: socket.socket, tells: Connection, what: dict[str, Any]) -> None:
    """Be the process."""
    app = Flask("uploader")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=database,
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 30}} if database.startswith("sqlite") else {},
        CELERY_TASK_ALWAYS_EAGER=True,
        DB_VERSIONING=False,
        SECRET_KEY="for tests alone",
    )
    InvenioDB(app, entry_point_group=None)
    InvenioCelery(app, entry_point_group=None)
    InvenioFilesREST(app)
    plan, upload_id = PLANS[what.pop("plan")], uuid.UUID(what.pop("upload"))
    with app.app_context(), connection:
        tells.send("ready")
        connection.recv(1)
        body, begun = Body(connection, tells.send), time.monotonic()
        try:
            result: Any = plan.write(upload_id, what.pop("place"), body, shut=body.shut, **what)
        except Exception as error:
            tells.send({"error": type(error).__name__, "seconds": time.monotonic() - begun})
        else:
            offset = getattr(result, "size", None) if what.get("part") else getattr(result, "offset", None)
            tells.send({"offset": offset, "seconds": time.monotonic() - begun})
