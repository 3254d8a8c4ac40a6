"""The command ``invenio`` of an instance: a process that has loaded the application, and a program that asks it.

Each command is a fork of that process, with the arguments, the folder, the variables and the standard streams of who
runs it. So a page with ten commands costs one start of the application, and not ten.

``commands.py SOCKET FACTORY`` serves, with ``COMMANDS_SERVE`` set; ``commands.py SOCKET ARGUMENT...`` runs a command.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

STREAMS = (0, 1, 2)
SERVE = "COMMANDS_SERVE"


def serve(address: str, factory: str) -> None:
    """Load the application, and run commands until one ends us."""
    from click import Context
    from flask.cli import ScriptInfo
    from invenio_app.cli import cli

    module, _, name = factory.partition(":")
    app = getattr(import_module(module), name)()
    info = ScriptInfo(create_app=lambda: app)
    # Which imports what the commands are in, once for all that are forked.
    cli.list_commands(Context(cli, obj=info))
    # Pages that are only read stay shared.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            with connection:
                message, streams, *_ = socket.recv_fds(connection, 2**20, len(STREAMS))
                if (child := os.fork()) == 0:
                    _become(streams, **json.loads(message))
                    _run(cli, json.loads(message)["arguments"], info)
                for stream in streams:
                    os.close(stream)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                connection.sendall(str(status).encode())


def _run(cli: Any, arguments: list[str], info: Any) -> None:
    """Run a command, and end the process, without taking apart what the other one goes on with."""
    status = 1
    try:
        cli.main(arguments, prog_name="invenio", obj=info)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _become(streams: list[int], folder: str, variables: dict[str, str], **_: Any) -> None:
    for stream, ours in zip(streams, STREAMS, strict=True):
        os.dup2(stream, ours)
    os.chdir(folder)
    os.environ.update(variables)
    # What wrapped the streams of the process that was forked.
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in zip(STREAMS, "rww", strict=True))  # noqa: SIM115


def ask(address: str, arguments: list[str]) -> int:
    """Have a command run, and return its exit status."""
    message = {"arguments": arguments, "folder": os.getcwd(), "variables": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(message).encode()], STREAMS)
        return int(connection.recv(16))


@contextmanager
def commands(
    folder: Path, variables: dict[str, str], factory: str = "invenio_app.factory:create_api"
) -> Iterator[Path]:
    """Give a folder that has the program ``invenio``, of an application.

    :param folder: An empty folder; its path is short, for it has a socket.
    :param variables: What is set in the environment of the application.
    :param factory: Import path of what makes it.
    """
    address, program = folder / "socket", folder / "invenio"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -SE "{__file__}" "{address}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environment = {**os.environ, **variables, SERVE: "1"}
    with (folder / "log").open("wb") as log:
        loading = [sys.executable, "-W", "ignore", __file__, str(address), factory]
        process = subprocess.Popen(loading, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 100
        while not address.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield folder
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    if os.environ.pop(SERVE, None):
        serve(*sys.argv[1:])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
