"""Parts that clients send to the object store themselves, with signed links."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from helpers.rest import error, url
from helpers.s3 import Store
from helpers.uploading import bucket_size

from invenio_files_rest.models import Bucket, Location, MultipartObject

pytest.importorskip("boto3", reason="the extra s3 is not installed")
from invenio_files_rest.storage.s3.links import part_link
from invenio_files_rest.storage.s3.objects import S3Object

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("allow_all")]

MIB = 1024**2
PART = 5 * MIB
CONTENT = random.Random(4).randbytes(PART + 1000)
PARTS = [CONTENT[:PART], CONTENT[PART:]]


@pytest.fixture(autouse=True)
def direct(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_S3_DIRECT_UPLOAD", timedelta(minutes=5))


@pytest.fixture
def begun(client: FlaskClient, s3_bucket: Bucket) -> dict[str, Any]:
    answer = client.post(url(s3_bucket, "key", uploads=True, size=len(CONTENT), partSize=PART))
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def send(link: dict[str, Any], data: bytes) -> int:
    return requests.put(link["url"], data=data, timeout=60).status_code


def path(upload: dict[str, Any]) -> str:
    return str(upload["links"]["self"].removeprefix("http://localhost"))


def checksums(parts: list[bytes]) -> dict[str, Any]:
    md5 = [f"md5:{hashlib.md5(part).hexdigest()}" for part in parts]
    return {"parts": [{"part_number": number, "checksum": checksum} for number, checksum in enumerate(md5)]}


def nothing_stays(client: FlaskClient, bucket: Bucket, store: Store) -> None:
    assert client.get(url(bucket, "key")).status_code == 404
    assert bucket_size(bucket) == 0
    assert MultipartObject.query.count() == 0
    assert store.names() == store.unfinished() == []


@pytest.mark.every_store
@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "unannounced"])
def test_parts_go_straight_to_the_store_and_become_the_object(
    client: FlaskClient, s3_bucket: Bucket, store: Store, begun: dict[str, Any], is_announced: bool
) -> None:
    ranges = [(link["part_number"], link["start_byte"], link["end_byte"]) for link in begun["direct"]]
    assert ranges == [(0, 0, PART), (1, PART, len(CONTENT))]
    for link, part in zip(begun["direct"], PARTS, strict=True):
        assert link["url"].startswith(store.settings["endpoint_url"])
        assert store.settings["secret_access_key"] not in link["url"]
        assert send(link, part) == 200
    shown = client.get(path(begun)).json
    assert shown["direct"] == []
    announced = {"json": checksums(PARTS)} if is_announced else {}
    answer = client.post(path(begun), **announced)
    assert answer.status_code == 200, answer.text
    assert "status" not in answer.json
    found = client.get(url(s3_bucket, "key"))
    assert found.data == CONTENT
    assert found.headers["ETag"] == f'"md5:{hashlib.md5(CONTENT).hexdigest()}"'
    assert [key.rpartition("/")[2] for key in store.names()] == ["data"]
    assert store.unfinished() == []


def test_parts_may_come_in_both_ways(client: FlaskClient, s3_bucket: Bucket, begun: dict[str, Any]) -> None:
    assert client.put(f"{path(begun)}&partNumber=0", data=PARTS[0]).status_code == 200
    (link,) = client.get(path(begun)).json["direct"]
    assert (link["part_number"], send(link, PARTS[1])) == (1, 200)
    assert client.post(path(begun)).status_code == 200
    assert client.get(url(s3_bucket, "key")).data == CONTENT


@pytest.mark.every_store
def test_a_link_is_for_one_part_and_its_exact_length(begun: dict[str, Any]) -> None:
    first, last = begun["direct"]
    assert send(first, PARTS[0][:-1]) == send(first, PARTS[0] + b"x") == send(last, b"") == 403
    other = {"url": first["url"].replace("partNumber=1&", "partNumber=2&")}
    assert other != first
    assert send(other, PARTS[0]) == 403
    assert requests.get(first["url"], timeout=60).status_code == 403


def test_who_may_see_an_upload_but_not_send_parts_gets_no_links(
    app: Flask, client: FlaskClient, begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def factory(obj: Any, action: str) -> Any:
        return type("Reads", (), {"can": lambda self: action == "multipart-read"})()

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", factory)
    answer = client.get(path(begun))
    assert (answer.status_code, answer.json.get("direct")) == (200, None)
    assert "X-Amz-Signature" not in answer.text


def test_no_link_is_for_an_empty_part_with_which_a_store_might_copy_the_file_of_somebody_else(store: Store) -> None:
    secret, own = store.maker()("secret"), store.maker()("own")
    secret.save(BytesIO(PARTS[0]))
    own.direct_upload = timedelta(minutes=5)
    upload = own.multipart_initialize_upload(parts=2, size=PART, part_size=PART)
    more = {"parts": 3, "size": PART, "part_size": PART}
    links = own.multipart_links(**upload, **more)["parts"]
    assert [link["part"] for link in links] == [1]
    source = {"x-amz-copy-source": "/" + "/".join(secret._object.address.values())}
    assert requests.put(links[0]["url"], data=PARTS[0], headers=source, timeout=60).status_code in (400, 403)
    assert own._pieces(upload["upload_id"]) == []
    with pytest.raises(ValueError, match="has bytes"):
        part_link(own._object, upload["upload_id"], 2, 0, 60)


def test_parts_that_are_missing_are_named_and_the_upload_stays(client: FlaskClient, begun: dict[str, Any]) -> None:
    assert send(begun["direct"][0], PARTS[0]) == 200
    assert "1 missing: 1" in error(client.post(path(begun)), 400)["message"]
    assert send(begun["direct"][1], PARTS[1]) == 200
    assert client.post(path(begun)).status_code == 200


def test_who_announces_other_bytes_than_came_gets_400_and_nothing_stays(
    client: FlaskClient, s3_bucket: Bucket, store: Store, begun: dict[str, Any]
) -> None:
    for link, part in zip(begun["direct"], [PARTS[0], b"x" * 1000], strict=True):
        assert send(link, part) == 200
    answer = error(client.post(path(begun), json=checksums(PARTS)), 400)
    assert answer["message"].startswith("The parts are not those that were announced.")
    nothing_stays(client, s3_bucket, store)


def test_who_sends_other_bytes_after_completing_gets_400_and_nothing_stays(
    client: FlaskClient, s3_bucket: Bucket, store: Store, begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is still valid then."""
    from invenio_files_rest.services.uploads import direct

    for link, part in zip(begun["direct"], PARTS, strict=True):
        assert send(link, part) == 200
    settle = direct.settle

    def late(*args: Any) -> None:
        assert send(begun["direct"][0], bytes(PART)) == 200
        settle(*args)

    monkeypatch.setattr(direct, "settle", late)
    answer = client.post(path(begun), json=checksums(PARTS))
    assert answer.json["status"] == 400
    nothing_stays(client, s3_bucket, store)


@pytest.mark.parametrize("body", [{"parts": 1}, {"parts": [1]}, {"parts": [{"part_number": 0}]}, [1]])
def test_nonsense_is_refused_and_the_upload_stays(client: FlaskClient, begun: dict[str, Any], body: Any) -> None:
    error(client.post(path(begun), json=body), 400)
    assert client.get(path(begun)).status_code == 200


def test_without_the_setting_parts_come_through_the_application(
    app: Flask, client: FlaskClient, s3_bucket: Bucket
) -> None:
    app.config["FILES_REST_S3_DIRECT_UPLOAD"] = None
    answer = client.post(url(s3_bucket, "key", uploads=True, size=len(CONTENT), partSize=PART))
    assert "direct" not in answer.json


@pytest.mark.usefixtures("small_parts")
def test_parts_that_the_store_does_not_take_have_no_links(client: FlaskClient, s3_bucket: Bucket) -> None:
    """All but the last have 5 MiB at least."""
    answer = client.post(url(s3_bucket, "key", uploads=True, size=2 * MIB + 1, partSize=MIB))
    assert [link["part_number"] for link in answer.json["direct"]] == [2]


def test_where_the_store_cannot_tell_what_came_parts_come_through_the_application(
    client: FlaskClient, s3_bucket: Bucket, store: Store, begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it encrypts with keys of its own."""
    call = S3Object.call

    def encrypted(self: S3Object, operation: str, **kwargs: Any) -> dict[str, Any]:
        answer = call(self, operation, **kwargs)
        return answer | {"ServerSideEncryption": "aws:kms"} if operation == "create_multipart_upload" else answer

    monkeypatch.setattr(S3Object, "call", encrypted)
    upload = client.post(url(s3_bucket, "other", uploads=True, size=len(CONTENT), partSize=PART)).json
    assert upload["direct"] == []
    for number, part in enumerate(PARTS):
        assert client.put(f"{path(upload)}&partNumber={number}", data=part).status_code == 200
    assert "status" not in client.post(path(upload)).json
    assert client.get(url(s3_bucket, "other")).data == CONTENT


def test_rules_for_pages_of_other_sites_are_printed(run: Any, s3_bucket: Bucket, db: Any, tmp_path: Any) -> None:
    told = run("files", "location", "cors", "s3", "https://app.example.org", "http://localhost:3000")
    (rule,) = json.loads(told.stdout)["CORSRules"]
    assert rule["AllowedOrigins"] == ["https://app.example.org", "http://localhost:3000"]
    for origin in ("*", "https://*", "app.example.org", "https://app.example.org/page", "https://me@example.org"):
        refused = run("files", "location", "cors", "s3", origin)
        assert (refused.exit_code, "is no origin" in refused.stderr) == (1, True)
    db.session.add(Location(name="folder", uri=str(tmp_path)))
    refused = run("files", "location", "cors", "folder", "https://app.example.org")
    assert (refused.exit_code, "is in no object store" in refused.stderr) == (1, True)
