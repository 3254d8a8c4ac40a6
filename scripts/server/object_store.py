"""The object store of an instance, which its file ``s3.json`` describes as ``FILES_REST_S3_LOCATIONS`` does.

``object_store.py describe`` prints the description: of the store that ``SERVER_STORAGE`` and ``SERVER_S3_ENDPOINT``
name, or else of one that belongs to the instance, with keys of its own. ``object_store.py serve INSTANCE`` becomes that
one: SeaweedFS, in the folder ``s3`` of the instance. ``object_store.py tell INSTANCE`` says where the files are.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import secrets
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[1]))

from private_servers.base import free_port
from private_servers.object_stores import SeaweedFS

START_SECONDS = 60
PR_SET_PDEATHSIG = 1
"""See prctl(2)."""


def describe() -> dict[str, dict[str, Any]]:
    """Return the description that the environment asks for."""
    if uri := os.environ.get("SERVER_STORAGE"):
        endpoint = os.environ.get("SERVER_S3_ENDPOINT")
        return {uri: {"endpoint_url": endpoint} if endpoint else {}}
    keys = {"access_key_id": "instance", "secret_access_key": secrets.token_urlsafe(24)}
    return {"s3://files/instance": {"endpoint_url": f"http://127.0.0.1:{free_port()}", **keys}}


def described(instance: Path) -> dict[str, dict[str, Any]]:
    """Return the description that an instance has; it is empty where its files are in a folder.

    :param instance: Folder of the instance.
    """
    path = instance / "s3.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def check(settings: dict[str, dict[str, Any]], **more: Any) -> None:
    """Keep a small file in each store, and remove it.

    :param settings: Description of the stores.
    :param more: Other settings of theirs.
    :raises StorageError: If one does not keep it.
    :raises ValueError: If one is described wrongly.
    """
    from invenio_files_rest.storage.s3 import S3FileStorage, S3Location

    for uri, described in settings.items():
        storage = S3FileStorage(f"{uri}/{uuid.uuid4()}/data", S3Location(uri, **{**described, **more}))
        storage.save(io.BytesIO(b"kept?"))
        try:
            with storage.open() as file:
                file.read()
        finally:
            storage.delete()


def own_folder(instance: Path) -> Path:
    """Return the folder of the store that belongs to an instance.

    :param instance: Folder of the instance.
    """
    return instance / "s3"


def serve(instance: Path) -> None:
    """Become the store that belongs to an instance: it ends with its parent, and does not mind Ctrl-C.

    :param instance: Folder of the instance.
    """
    (settings,) = described(instance).values()
    port = urlsplit(settings["endpoint_url"]).port
    store = SeaweedFS(own_folder(instance), port, settings["access_key_id"], settings["secret_access_key"])
    store.folder.mkdir(parents=True, exist_ok=True)
    _, command, _ = store.commands(*map(str, store.programs()))
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execve(command[0], command, {**os.environ, "TMPDIR": str(store.folder), **store.environment()})


def wait_until_it_serves(instance: Path) -> None:
    """Wait for the store that belongs to an instance, and make its bucket.

    :param instance: Folder of the instance.
    :raises Exception: If it does not keep files in time.
    """
    from invenio_files_rest.storage.s3 import S3Location
    from invenio_files_rest.storage.s3.client import client_of

    ((uri, settings),) = described(instance).items()
    client = client_of(S3Location(uri, **settings, attempts=1))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket=urlsplit(uri).netloc)
            check({uri: settings}, attempts=1)
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["describe"]:
            json.dump(describe(), sys.stdout, indent=2)
        case ["serve", instance]:
            serve(Path(instance))
        case ["tell", instance]:
            for uri, settings in described(Path(instance)).items():
                print(uri, *(f"in {url}" for name, url in settings.items() if name == "endpoint_url"))
