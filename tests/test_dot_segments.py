"""Keys with a segment ``.`` or ``..``: none is new, and links to old ones lead to them, and to nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from helpers.rest import CONTENT, error, exact_path, nothing_stays, put, url

from invenio_files_rest.errors import InvalidKeyError
from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.keys import has_dot_segment, key_with_encoded_dots, paths_of
from invenio_files_rest.models import Bucket, FileInstance, MultipartObject, ObjectVersion

DOTTED = [
    "..",
    ".",
    "../x",
    "x/..",
    "a/./b.txt",
    "../../../../x",
    "./.",
    "/../",
    "..//x",
    "a/../../b/./c",
    "../%2E%2E/é",
    ".../../😀%41%",
]
DOTLESS = ["...", "..x", ".x/y", "x./y", "a/b..", "a...b", "%2e%2e", "%2E%2E/x", ".%2E", "..\\x", "a/.. /b", "..;/x"]


@pytest.fixture
def old(db: Any, bucket: Bucket) -> Any:
    """Return a function that makes an object as earlier versions of this module did."""

    def old(key: str, content: bytes = CONTENT) -> ObjectVersion:
        file = ObjectVersion.create(bucket, "for its file", stream=BytesIO(content)).file
        version = ObjectVersion.record(bucket.id, key, file)
        ObjectVersion.get(bucket, "for its file").remove()
        db.session.commit()
        return version

    return old


def as_clients_send_it(link: str) -> str:
    """Return what a client asks for that is given a link, and check that all clients ask for the same."""
    sent = requests.Request("GET", link).prepare().url
    assert sent == link
    assert urljoin("http://localhost/", link) == link
    # The URL standard of browsers, "double-dot URL path segment".
    segments = urlsplit(link).path.lower().replace("%2e", ".").split("/")
    assert not {".", ".."} & set(segments)
    return link


pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.mark.parametrize("key", DOTTED)
@pytest.mark.usefixtures("small_parts")
def test_a_request_makes_no_new_object_of_such_a_key(client: Any, bucket: Any, location: Any, key: str) -> None:
    path = url(bucket, key)
    dots_encoded = url(bucket) + "/" + path.rsplit(str(bucket.id) + "/", 1)[1].replace(".", "%2e")
    with nothing_stays(location):
        for response in (
            client.put(path, data=CONTENT),
            client.put("/", data=CONTENT, environ_overrides=exact_path(dots_encoded)),
            client.post(url(bucket, key, uploads=True, size=10, partSize=4)),
        ):
            assert "segment" in error(response, 400)["message"]


@pytest.mark.parametrize("key", DOTTED)
def test_python_makes_no_new_object_of_such_a_key(db: Any, bucket: Bucket, tmp_path: Path, key: str) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    there = ObjectVersion.create(bucket, "there", stream=BytesIO(CONTENT))
    upload = MultipartObject.create(bucket, "there", size=10, chunk_size=5 * 1024**2)
    for make in (
        lambda: ObjectVersion.create(bucket, key),
        lambda: ObjectVersion.create(bucket, key, stream=BytesIO(CONTENT)),
        lambda: ObjectVersion.create(bucket, key, _file_id=there.file_id),
        lambda: MultipartObject.create(bucket, key, size=10, chunk_size=5 * 1024**2),
        lambda: there.copy(key=key),
        lambda: setattr(there, "key", key),
        lambda: setattr(upload, "key", key),
        lambda: next(populate_from_path(bucket, tmp_path / "x", key_prefix=f"{key}/")),
    ):
        with pytest.raises(InvalidKeyError) as caught:
            make()
        assert caught.value.code == 400
    db.session.commit()
    assert [version.key for version in ObjectVersion.query] == ["there"]


@pytest.mark.parametrize("key", DOTLESS)
def test_what_only_looks_like_one_is_a_key_like_others(client: Any, bucket: Any, key: str) -> None:
    for link in put(client, bucket, key)["links"].values():
        as_clients_send_it(link)
    assert client.get(url(bucket, key)).data == CONTENT
    assert ObjectVersion.query.one().key == key


@pytest.mark.parametrize("key", DOTTED)
@pytest.mark.usefixtures("small_parts")
def test_links_of_an_old_object_lead_to_it(client: Any, bucket: Any, old: Any, key: str) -> None:
    """What else they could lead to is there, too."""
    for other in ("x", "b", "%2E%2E", "%2E", "%2E%2E/x", "a/b.txt", "a/x"):
        put(client, bucket, other, other.encode())
    version = old(key, b"first")
    second = old(key, b"second")
    listed = [item for item in client.get(url(bucket, versions=True)).json["contents"] if item["key"] == key]
    head, first = listed
    assert head["version_id"] == str(second.version_id)
    assert first["version_id"] == str(version.version_id)
    for item, content in ((head, b"second"), (first, b"first")):
        for name in ("self", "version"):
            link = as_clients_send_it(item["links"][name])
            assert client.get(link).data == content
            assert client.head(link).status_code == 200
    assert ("versionId" in head["links"]["self"]) == (key in (".", ".."))
    assert ("uploads" in head["links"]) == (key not in (".", ".."))
    if "uploads" in head["links"]:
        begun = client.post(as_clients_send_it(head["links"]["uploads"]) + "&size=10&partSize=4")
        assert "segment" in error(begun, 400)["message"]


@pytest.mark.parametrize("key", DOTTED)
def test_an_old_object_is_deleted_and_removed_by_its_links(client: Any, bucket: Any, old: Any, key: str) -> None:
    old(key)
    links = client.get(url(bucket)).json["contents"][0]["links"]
    others = ("x", "b", "%2E%2E", "%2E", "%2E%2E/x", "a/b.txt", "a/x")
    for other in others:
        put(client, bucket, other)
    if links["self"] != links["version"]:
        assert client.delete(links["self"]).status_code == 204
        assert client.get(links["self"]).status_code == 404
        marker = client.get(url(bucket, versions=True, prefix=key)).json["contents"][0]
        assert (marker["key"], marker["delete_marker"]) == (key, True)
        assert client.delete(as_clients_send_it(marker["links"]["version"])).status_code == 204
        assert client.get(links["self"]).data == CONTENT
    assert client.delete(links["version"]).status_code == 204
    keys = [item["key"] for item in client.get(url(bucket, versions=True)).json["contents"]]
    assert sorted(keys) == sorted(others)


@pytest.mark.parametrize("key", DOTTED)
def test_an_old_upload_is_shown_filled_and_completed_by_its_links(
    client: Any, bucket: Any, db: Any, small_parts: None, key: str
) -> None:
    file = FileInstance.new()
    db.session.add(file)
    file.init_contents(size=5, default_location=bucket.location.uri)
    MultipartObject.record(bucket.id, key, file, 5, 4)
    db.session.commit()
    upload = client.get(url(bucket, uploads=True)).json[0]
    link = as_clients_send_it(upload["links"]["self"])
    for number, part in enumerate([b"0123", b"4"]):
        assert client.put(f"{link}&partNumber={number}", data=part).status_code == 200
    assert [part["part_number"] for part in client.get(link).json["parts"]] == [0, 1]
    completed = client.post(link).json["links"]
    for name in ("object", "object_version"):
        assert client.get(as_clients_send_it(completed[name])).data == b"01234"
    assert completed["object"] == upload["links"]["object"]
    assert ObjectVersion.query.one().key == key


def test_an_old_upload_is_aborted_by_its_link(client: Any, bucket: Any, begin_uploads: Any) -> None:
    begin_uploads(bucket, DOTTED)
    for upload in client.get(url(bucket, uploads=True)).json:
        assert client.delete(upload["links"]["self"]).status_code == 204
    assert client.get(url(bucket, uploads=True)).json == []


@pytest.mark.parametrize("key", DOTTED)
def test_python_keeps_old_objects_as_they_are(db: Any, bucket: Bucket, old: Any, key: str) -> None:
    first, second = old(key, b"first"), old(key, b"second")
    other = Bucket.create(bucket.location)
    assert second.copy(bucket=other).key == key
    assert second.copy(bucket=other, key=key).key == key
    assert second.copy(key="new").key == "new"
    assert first.restore().file_id == first.file_id
    assert bucket.snapshot().objects[0].key in (key, "new")
    synced = Bucket.create(bucket.location)
    assert {version.key for _, version in bucket.sync(synced).changes} == {key, "new"}
    assert ObjectVersion.delete(bucket, key).key == key
    assert ("delete", key) in bucket.sync(synced).changes
    copied = Bucket.create(bucket.location)
    ObjectVersion.copy_from(other.id, copied.id)
    assert ObjectVersion.get(copied, key).file_id == second.file_id
    first.key = first.key
    db.session.commit()


def test_encoded_dots_stand_for_dots_only_with_the_identifier_of_that_version(
    client: Any, bucket: Any, old: Any
) -> None:
    version = old("../x")
    path = f"{url(bucket)}/%252E%252E/x"
    assert client.get(f"{path}?versionId={version.version_id}").data == CONTENT
    assert client.get(path).status_code == 404
    other = put(client, bucket, "x")["version_id"]
    for identifier in (other, bucket.id):
        assert client.get(f"{path}?versionId={identifier}").status_code == 404
        assert client.delete(f"{path}?versionId={identifier}").status_code == 404
    for spelling in (
        "%252e%252e/x",
        "%252E./x",
        ".%252E/x",
        "%252E%252E%252Fx",
        "%25252E%25252E/x",
        "%252E%252E/%2578",
    ):
        assert client.get(f"{url(bucket)}/{spelling}?versionId={version.version_id}").status_code == 404
    literal = put(client, bucket, "%2E%2E/x", b"literal")
    assert client.get(path).data == b"literal"
    assert client.get(literal["links"]["version"]).data == b"literal"
    assert client.get(f"{path}?versionId={version.version_id}").data == CONTENT


def test_pages_of_old_keys_follow_each_other(client: Any, bucket: Any, fill: Any) -> None:
    fill(DOTTED)
    link, keys = f"http://localhost{url(bucket)}?max-keys=1", []
    while link:
        page = client.get(as_clients_send_it(link)).json
        keys += [item["key"] for item in page["contents"]]
        link = page["links"].get("next")
    assert sorted(keys) == sorted(DOTTED)


def test_paths_go_back_to_their_keys() -> None:
    for key in DOTTED:
        named, identified = paths_of(key)
        assert has_dot_segment(key)
        assert key_with_encoded_dots(requests.utils.unquote(identified)) == key
        assert named is None or requests.utils.unquote(named) == key
    for key in DOTLESS:
        assert not has_dot_segment(key)
        assert paths_of(key)[0] == paths_of(key)[1]


@pytest.mark.skipif(not shutil.which("node"), reason="needs node, whose URLs are those of browsers")
def test_browsers_leave_the_paths_as_they_are() -> None:
    links = [f"http://localhost/files/a/{path}" for key in DOTTED + DOTLESS for path in paths_of(key) if path]
    program = "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(link => new URL(link).href)))"
    seen = subprocess.check_output(["node", "-e", program, json.dumps(links)])
    assert json.loads(seen) == links
