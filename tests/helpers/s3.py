"""Real object stores for tests, which ``run-tests.sh`` starts; tests say so if they are not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from invenio_files_rest.storage import FileStorage
    from invenio_files_rest.storage.s3 import S3Location

STORES = {"ceph": "TEST_S3_CEPH", "seaweedfs": "TEST_S3_SEAWEEDFS"}
"""The variables that have the URLs of the stores, with access key and secret key as user and password."""

BUCKET = "files-rest-tests"


def chosen_stores(every: bool) -> list[str]:
    """Return the names of the stores that a test runs on.

    :param every: Whether it is to run on every one, or else on the first that there is.
    """
    there = [name for name in STORES if os.environ.get(STORES[name])]
    return list(STORES) if every else [*there, *STORES][:1]


class Store:
    """A prefix of its own in the bucket of an object store.

    :param name: Name of the store.
    """

    def __init__(self, name: str) -> None:
        url = os.environ.get(STORES[name])
        if not url:
            pytest.skip(f"{STORES[name]} is not set: nothing is tested against {name}.")
        pytest.importorskip("boto3", reason="the extra s3 is not installed")
        from invenio_files_rest.storage.s3 import S3Location
        from invenio_files_rest.storage.s3.client import client_of

        parts = urlsplit(url)
        self.name = name
        self.settings: dict[str, Any] = {
            "endpoint_url": f"{parts.scheme}://{parts.hostname}:{parts.port}",
            "region_name": "us-east-1",
            "access_key_id": parts.username,
            "secret_access_key": parts.password,
            "part_size": 5 * 1024 * 1024,
            "parallel_parts": 1,
        }
        self.location = S3Location(f"s3://{BUCKET}/{uuid.uuid4().hex}", **self.settings)
        self.client = client_of(self.location)
        if BUCKET not in [bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket=BUCKET)

    def with_settings(self, **settings: Any) -> S3Location:
        """Return the location with other settings."""
        return replace(self.location, **settings)

    def maker(self, **settings: Any) -> Callable[..., FileStorage]:
        """Return a function that makes the storage of a file by its name."""
        from invenio_files_rest.storage.s3 import S3FileStorage

        location = self.with_settings(**settings)
        return lambda name, size=None: S3FileStorage(f"{location.uri}/{name}/data", location, size=size)

    def names(self) -> list[str]:
        """Return what is in the location, below it."""
        prefix = self.location.uri.removeprefix(f"s3://{BUCKET}/") + "/"
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [item["Key"].removeprefix(prefix) for item in found]

    def unfinished(self) -> list[str]:
        """Return the keys of unfinished uploads, below the location."""
        prefix = self.location.uri.removeprefix(f"s3://{BUCKET}/") + "/"
        found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
        return [item["Key"].removeprefix(prefix) for item in found]

    def clean(self) -> None:
        """Remove everything in the location."""
        prefix = self.location.uri.removeprefix(f"s3://{BUCKET}/") + "/"
        for key in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=prefix + key)
        for item in self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=item["Key"], UploadId=item["UploadId"])

    def of_application(self) -> Any:
        """Return the client that the application uses for the location."""
        from invenio_files_rest.storage.s3 import S3Location
        from invenio_files_rest.storage.s3.client import client_of

        return client_of(S3Location(self.location.uri, **self.settings))


@contextmanager
def asked(store: Store) -> Iterator[list[str]]:
    """Note what an object store is asked for."""
    names: list[str] = []

    def note(event_name: str, **kwargs: Any) -> None:
        names.append(event_name.rpartition(".")[2])

    client = store.of_application()
    client.meta.events.register("before-send.s3", note)
    try:
        yield names
    finally:
        client.meta.events.unregister("before-send.s3", note)
