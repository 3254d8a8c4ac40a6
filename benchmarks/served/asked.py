"""Count what operations ask the object store for, and print it as JSON: by operation, a list of requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from application import application

from invenio_files_rest.storage.s3 import location_of
from invenio_files_rest.storage.s3.client import client_of

PART = 8 * 1024**2


def main() -> dict[str, list[str]]:
    """Count them."""
    locations = application.config["FILES_REST_S3_LOCATIONS"]
    location = location_of(f"{next(iter(locations))}/file", locations)
    assert location is not None
    names: list[str] = []
    client_of(location).meta.events.register(
        "before-send.s3", lambda event_name, **kwargs: names.append(event_name.rpartition(".")[2])
    )
    found: dict[str, list[str]] = {}

    @contextmanager
    def asked(operation: str) -> Iterator[None]:
        names.clear()
        yield
        found[operation] = list(names)

    client = application.test_client()

    def send(method: str, path: str, data: bytes | None = None) -> Any:
        answer = client.open(path, method=method, data=data)
        assert answer.status_code in (200, 201, 204), f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    path = f"/files/{send('POST', '/files').get_json()['id']}/key"
    small, block = bytes(1024), bytes(PART)
    send("PUT", path, small)
    with asked("PUT of 1 KiB"):
        version = send("PUT", path, small).get_json()["version_id"]
    with asked("GET of 1 KiB"):
        assert send("GET", path).data == small
    with asked("HEAD of 1 KiB"):
        send("HEAD", path)
    with asked("DELETE of a version of 1 KiB"):
        send("DELETE", f"{path}?versionId={version}")
    with asked("PUT of 32 MiB, in parts of 8 MiB"):
        send("PUT", path, 4 * block)
    with asked("GET of 32 MiB"):
        assert len(send("GET", path).data) == 4 * PART
    with asked("multipart upload of 16 MiB: beginning"):
        upload = send("POST", f"{path}?uploads&size={2 * PART}&partSize={PART}").get_json()["id"]
    for number in range(2):
        with asked(f"multipart upload of 16 MiB: part {number + 1} of 2"):
            send("PUT", f"{path}?uploadId={upload}&partNumber={number}", block)
    with asked("multipart upload of 16 MiB: completing, and the checksum of the whole"):
        assert "status" not in send("POST", f"{path}?uploadId={upload}").get_json()
    return found


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps(main()))
