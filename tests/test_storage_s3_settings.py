"""What is said of locations in object stores, and which storage their files have. No store is asked."""

from __future__ import annotations

import io
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.errors import StorageBusyError
from invenio_files_rest.storage.capabilities import BYTE_METHODS, DirectParts, Listable, Signer, capability_of
from invenio_files_rest.storage.uploads import Uploads

pytest.importorskip("boto3", reason="the extra s3 is not installed")
import boto3

from invenio_files_rest.storage.s3 import S3FileStorage, S3Location, client
from invenio_files_rest.storage.s3.objects import S3Object
from invenio_files_rest.storage.s3.runs import parts_there

SECRET = "a-secret-of-the-test"
LOCATION = S3Location("s3://bucket/prefix", endpoint_url="http://127.0.0.1:1", region_name="us-east-1")


@pytest.mark.parametrize(
    ("uri", "settings", "message"),
    [
        ("s3://bucket", {"endpoint_url": f"https://key:{SECRET}@example.org"}, "keys have names of their own"),
        ("s3://bucket", {"endpoint_url": "example.org"}, "is not http"),
        ("s3://bucket", {"secret": SECRET}, "may have these names: access_key_id, addressing_style"),
        ("s3://bucket", {SECRET: "value"}, "may have these names"),
        ("s3://bucket", {"part_size": 1024}, "part_size"),
        ("s3://bucket", {"part_size": SECRET}, "may have these names"),
        ("s3://bucket", {"attempts": 0}, "too small"),
        ("/a/folder", {}, "is not s3://bucket/prefix"),
        ("s3://", {}, "is not s3://bucket/prefix"),
        ("s3://bucket/../other", {}, "is not s3://bucket/prefix"),
    ],
)
def test_locations_that_are_described_wrongly_are_told_at_the_start(
    uri: str, settings: dict[str, Any], message: str
) -> None:
    app = Flask("wrong")
    app.config["FILES_REST_S3_LOCATIONS"] = {uri: settings}
    with pytest.raises(ValueError, match=message) as raised:
        InvenioFilesREST(app)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["FILES_REST_S3_DIRECT_UPLOAD", "FILES_REST_S3_REDIRECT"])
@pytest.mark.parametrize("valid", [300, "5 minutes", timedelta(), timedelta(days=8)])
def test_lifetimes_of_links_that_no_store_takes_are_told_at_the_start(name: str, valid: Any) -> None:
    app = Flask("wrong")
    app.config.update({"FILES_REST_S3_LOCATIONS": {"s3://bucket": {}}, name: valid})
    with pytest.raises(ValueError, match=name):
        InvenioFilesREST(app)


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_part_that_a_store_lists_twice_the_newer_one_counts(monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    """SeaweedFS does so, in any order, when one was sent again."""
    target, then = S3Object(LOCATION, "s3://bucket/prefix/a/data"), datetime.now(timezone.utc)
    parts = [
        {"PartNumber": 1, "Size": 1, "ETag": tag, "LastModified": then + timedelta(seconds=seconds)}
        for seconds, tag in enumerate(("old", "new"))
    ]
    monkeypatch.setattr(target, "call", lambda *args, **kwargs: {"Parts": parts[::order]})
    assert [part.where for part in parts_there(target, "upload")] == ["new"]


def test_credentials_that_come_late_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As those of a machine's role, which the network gives out."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(client, "_session", boto3.session.Session())
    client._client.cache_clear()
    try:
        storage = S3FileStorage("s3://bucket/prefix/a/data", LOCATION, size=5)
        signer = storage.capability(Signer)
        assert signer is not None
        with pytest.raises(StorageBusyError):
            storage.open()
        with pytest.raises(StorageBusyError):
            signer.link(60, {})
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "late")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        assert "X-Amz-Credential=late" in signer.link(60, {})
    finally:
        client._client.cache_clear()


@pytest.mark.parametrize("name", BYTE_METHODS)
def test_who_overrides_how_bytes_are_stored_is_gone_round_by_nothing(name: str) -> None:
    original = getattr(S3FileStorage, name)
    other = type("Other", (S3FileStorage,), {name: lambda self, *args, **kwargs: original(self, *args, **kwargs)})
    kinds = DirectParts, Listable, Signer, Uploads
    assert {kind for kind in kinds if capability_of(S3FileStorage("s3://bucket/a/data", LOCATION), kind)} == set(kinds)
    assert {kind for kind in kinds if capability_of(other("s3://bucket/a/data", LOCATION), kind)} == {Listable}
    assert hasattr(S3FileStorage("s3://bucket/a/data", LOCATION), "multipart_set_content")
    assert not [name for name in dir(other) if name.startswith("multipart_") and hasattr(other, name)]


def test_a_file_that_is_opened_in_another_way_is_sent_as_it_is_opened() -> None:
    class Other(S3FileStorage):
        def open(self, mode: str | None = None) -> Any:
            return io.BytesIO(b"other")

    with Flask("other").test_request_context():
        response = Other("s3://bucket/a/data", LOCATION, size=5).send_file("file.txt")
        assert b"".join(response.response) == b"other"
