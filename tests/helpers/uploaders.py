"""Another process that writes to an upload, as a request to another worker does.

Run as a program it makes an application on the database and the folder of a test, writes what comes by standard input,
and prints what came of it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


class Uploader:
    """A process that writes.

    :param database: URL of the database.
    :param what: Arguments of the method of the plan, and ``plan`` and ``upload``.
    """

    def __init__(self, database: Any, **what: Any) -> None:
        """Start it, and wait until it is about to write."""
        path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        self._ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), json.dumps(what)],
                env=os.environ | {"UPLOADER_DATABASE": database, "PYTHONPATH": path},
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdout is not None
        self.line()

    def line(self) -> Any:
        """Return what it says next."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def send(self, data: bytes) -> None:
        """Have it get bytes of the body."""
        self._ours.sendall(data)

    def go(self) -> None:
        """Have it begin."""
        self.send(b"g")

    def end(self) -> None:
        """End the body."""
        self._ours.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it, whatever it does."""
        self._ours.close()
        self.process.kill()
        self.process.communicate()


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

    def __init__(self, connection: socket.socket) -> None:
        """Begin."""
        self._connection = connection
        self._asked = False

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes, as many as there are."""
        if not self._asked:
            self._asked = True
            tell("reading")
        return self._connection.recv(size if size > 0 else 65536)

    def shut(self) -> None:
        """End a read that waits."""
        self._connection.shutdown(socket.SHUT_RD)


def tell(what: Any) -> None:
    """Say something, in a line."""
    print(json.dumps(what), flush=True)  # noqa: T201


def main(descriptor: str, arguments: str) -> None:
    """Be the process."""
    import time
    import uuid

    from flask import Flask
    from invenio_celery import InvenioCelery
    from invenio_db import InvenioDB

    from invenio_files_rest import InvenioFilesREST
    from invenio_files_rest.services.uploads.plans import PLANS

    app = Flask("uploader")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=os.environ["UPLOADER_DATABASE"],
        SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 30}}
        if os.environ["UPLOADER_DATABASE"].startswith("sqlite")
        else {},
        CELERY_TASK_ALWAYS_EAGER=True,
        DB_VERSIONING=False,
        SECRET_KEY="for tests alone",
    )
    InvenioDB(app, entry_point_group=None)
    InvenioCelery(app, entry_point_group=None)
    InvenioFilesREST(app)
    what = json.loads(arguments)
    plan, upload = PLANS[what.pop("plan")], uuid.UUID(what.pop("upload"))
    with app.app_context(), socket.socket(fileno=int(descriptor)) as connection:
        tell("ready")
        connection.recv(1)
        body, begun = Body(connection), time.monotonic()
        try:
            result: Any = plan.write(upload, what.pop("place"), body, shut=body.shut, **what)
        except Exception as error:
            tell({"error": type(error).__name__, "seconds": time.monotonic() - begun})
        else:
            offset = getattr(result, "size", None) if what.get("part") else getattr(result, "offset", None)
            tell({"offset": offset, "seconds": time.monotonic() - begun})


if __name__ == "__main__":
    main(*sys.argv[1:])
