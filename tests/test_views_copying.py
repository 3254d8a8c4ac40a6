"""``PUT`` with ``copy`` or ``move``, and ``POST`` with ``restore``: new versions of what is stored already."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from helpers.rest import CONTENT, error, nothing_stays, put, rows, statements, stored, url
from helpers.stored import received

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services import copying
from invenio_files_rest.signals import file_deleted, file_uploaded

pytestmark = pytest.mark.usefixtures("allow_all")

TAGS = {"X-Invenio-File-Tags": "lang=fr&kind=text"}


@pytest.fixture
def other(bucket: Bucket, db: Any) -> Bucket:
    """Make a second bucket in the same location."""
    other = Bucket.create(bucket.location)
    db.session.commit()
    return other


@pytest.fixture
def elsewhere(db: Any, tmp_path: Path) -> Bucket:
    """Make a bucket in another location."""
    (tmp_path / "elsewhere").mkdir()
    location = Location(name="elsewhere", uri=str(tmp_path / "elsewhere"))
    db.session.add(location)
    bucket = Bucket.create(location)
    db.session.commit()
    return bucket


def heads(bucket: Bucket) -> dict[str, str]:
    """Return the files of a bucket by key."""
    return {head.key: str(head.file_id) for head in ObjectVersion.get_by_bucket(bucket)}


# Copy


def test_a_copy_is_a_new_version_of_the_same_file(client: Any, bucket: Bucket) -> None:
    source = put(client, bucket, "a b+c.txt", headers=TAGS)
    response = client.put(url(bucket, "new.txt", copy="a b+c.txt"))
    assert response.status_code == 200
    assert response.json["key"] == "new.txt"
    assert response.json["version_id"] != source["version_id"]
    assert (response.json["size"], response.json["checksum"]) == (source["size"], source["checksum"])
    assert response.json["tags"] == {"lang": "fr", "kind": "text"}
    assert response.headers["ETag"] == f'"{source["checksum"]}"'
    assert client.get(url(bucket, "new.txt")).data == CONTENT
    assert FileInstance.query.count() == 1
    assert Bucket.get(bucket.id).size == 2 * len(CONTENT)


def test_a_copy_has_the_tags_that_the_header_gives(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a", headers=TAGS)
    shown = client.put(url(bucket, "b", copy="a"), headers={"X-Invenio-File-Tags": "x=1"}).json
    assert shown["tags"] == {"x": "1"}
    assert client.put(url(bucket, "c", copy="a"), headers={"X-Invenio-File-Tags": ""}).json["tags"] == {}


def test_a_copy_keeps_the_type_that_was_set(client: Any, bucket: Bucket, db: Any) -> None:
    ObjectVersion.create(bucket, "a", stream=io.BytesIO(b"{}"), mimetype="application/json")
    db.session.commit()
    assert client.put(url(bucket, "b.txt", copy="a")).json["mimetype"] == "application/json"


def test_a_version_is_copied_by_its_identifier(client: Any, bucket: Bucket, other: Bucket) -> None:
    first = put(client, bucket, "a", b"first")["version_id"]
    put(client, bucket, "a", b"second")
    assert client.put(url(bucket, "b", copy="a", versionId=first)).status_code == 200
    assert client.get(url(bucket, "b")).data == b"first"
    query = {"copy": "a", "versionId": first, "from": bucket.id}
    assert client.put(url(other, "b") + "?" + "&".join(f"{k}={v}" for k, v in query.items())).status_code == 200
    assert client.get(url(other, "b")).data == b"first"


def copy_url(target: Bucket, key: str, source: Bucket, of: str, name: str = "copy") -> str:
    return f"{url(target, key)}?{name}={of}&from={source.id}"


def test_a_copy_into_another_bucket_of_the_location_shares_the_file(
    client: Any, bucket: Bucket, other: Bucket, location: Location
) -> None:
    put(client, bucket, "a")
    assert client.put(copy_url(other, "deep/b", bucket, "a")).status_code == 200
    assert stored(location) == [CONTENT]
    assert heads(other)["deep/b"] == heads(bucket)["a"]
    assert (Bucket.get(bucket.id).size, Bucket.get(other.id).size) == (len(CONTENT), len(CONTENT))


def test_a_copy_into_another_location_has_a_file_of_its_own(
    client: Any, bucket: Bucket, elsewhere: Bucket, location: Location
) -> None:
    data = b"0123456789" * 300_000
    source = put(client, bucket, "a", data, headers=TAGS)
    copy = client.put(copy_url(elsewhere, "b", bucket, "a")).json
    assert (copy["checksum"], copy["tags"]) == (source["checksum"], {"lang": "fr", "kind": "text"})
    assert stored(location) == stored(elsewhere.location) == [data]
    assert heads(elsewhere)["b"] != heads(bucket)["a"]
    assert client.get(url(elsewhere, "b")).data == data


def test_no_connection_is_in_use_while_bytes_are_copied(
    client: Any, bucket: Bucket, elsewhere: Bucket, db: Any, monkeypatch: Any
) -> None:
    put(client, bucket, "a", b"x" * 5_000_000)
    read, in_use = copying.read_version, []

    def watched(version: ObjectVersion) -> Any:
        for block in read(version):
            in_use.append(db.engine.pool.checkedout())
            yield block

    monkeypatch.setattr(copying, "read_version", watched)
    assert client.put(copy_url(elsewhere, "b", bucket, "a")).status_code == 200
    assert set(in_use) == {0}


def test_within_a_bucket_no_bytes_are_copied_wherever_its_files_are(
    client: Any, bucket: Bucket, elsewhere: Bucket, db: Any
) -> None:
    put(client, bucket, "a")
    bucket.default_location = elsewhere.default_location
    db.session.commit()
    assert client.put(url(bucket, "b", copy="a")).status_code == 200
    assert client.put(url(bucket, "c", move="b")).status_code == 200
    assert FileInstance.query.count() == 1
    assert stored(elsewhere.location) == []


def test_a_file_of_others_is_referred_to_wherever_it_is(
    client: Any, bucket: Bucket, elsewhere: Bucket, db: Any, tmp_path: Path
) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    ObjectVersion.create(bucket, "a").set_location(str(tmp_path / "theirs"), 6, "md5:" + "0" * 32)
    db.session.commit()
    assert client.put(copy_url(elsewhere, "b", bucket, "a")).status_code == 200
    assert client.get(url(elsewhere, "b")).data == b"theirs"
    assert stored(elsewhere.location) == []


def test_damaged_bytes_are_not_copied_to_another_location(
    client: Any, bucket: Bucket, elsewhere: Bucket, app: Any, monkeypatch: Any
) -> None:
    put(client, bucket, "a")
    Path(ObjectVersion.query.one().file.uri).write_bytes(b"x" * len(CONTENT))
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    with nothing_stays(elsewhere.location):
        answer = error(client.put(copy_url(elsewhere, "b", bucket, "a")), 500)
    assert elsewhere.location.uri not in str(answer)


@pytest.mark.parametrize(("changed", "status"), [({"quota_size": 5}, 400), ({"locked": True}, 403)])
def test_what_changes_while_bytes_are_copied_is_heeded(
    client: Any, bucket: Bucket, elsewhere: Bucket, db: Any, monkeypatch: Any, changed: dict[str, Any], status: int
) -> None:
    put(client, bucket, "a")
    read = copying.read_version

    def changing(version: ObjectVersion) -> Any:
        yield from read(version)
        with db.engine.begin() as connection:
            connection.execute(Bucket.__table__.update().values(**changed))

    monkeypatch.setattr(copying, "read_version", changing)
    with nothing_stays(elsewhere.location):
        error(client.put(copy_url(elsewhere, "b", bucket, "a")), status)


def test_a_source_that_is_removed_while_its_bytes_are_copied_is_not_there(
    client: Any, bucket: Bucket, elsewhere: Bucket, app: Any, monkeypatch: Any
) -> None:
    version = put(client, bucket, "a")["version_id"]
    read, path = copying.read_version, url(bucket, "a", versionId=version)

    def removing(one: ObjectVersion) -> Any:
        yield from read(one)
        assert app.test_client().delete(path).status_code == 204

    monkeypatch.setattr(copying, "read_version", removing)
    error(client.put(copy_url(elsewhere, "b", bucket, "a")), 404)
    assert ObjectVersion.query.count() == 0
    assert stored(elsewhere.location) == []


@pytest.mark.parametrize("name", ["copy", "move"])
def test_the_conditions_are_those_of_the_target(client: Any, bucket: Bucket, name: str) -> None:
    put(client, bucket, "a", b"a")
    etag = f'"{put(client, bucket, "b", b"b")["checksum"]}"'
    other = f'"{put(client, bucket, "c", b"c")["checksum"]}"'
    before = rows()
    path = url(bucket, "b", **{name: "a"})
    for headers in (
        {"If-None-Match": "*"},
        {"If-Match": other},
        {"If-Unmodified-Since": "Sun, 13 Sep 2020 12:26:40 GMT"},
    ):
        error(client.put(path, headers=headers), 412)
    assert rows() == before
    assert client.put(path, headers={"If-Match": etag}).status_code == 200
    assert client.put(url(bucket, "new", copy="c"), headers={"If-None-Match": "*"}).status_code == 200


@pytest.mark.parametrize("name", ["copy", "move"])
@pytest.mark.parametrize("limit", ["quota_size", "max_file_size"])
def test_the_limits_of_the_target_hold(client: Any, bucket: Bucket, other: Bucket, name: str, limit: str) -> None:
    put(client, bucket, "a", b"12345")
    setattr(other, limit, 4)
    before = rows()
    error(client.put(copy_url(other, "b", bucket, "a", name)), 400)
    assert rows() == before
    setattr(other, limit, 5)
    assert client.put(copy_url(other, "b", bucket, "a", name)).status_code == 200


@pytest.mark.parametrize("name", ["copy", "move"])
def test_a_locked_or_deleted_bucket_takes_none(client: Any, bucket: Bucket, other: Bucket, name: str) -> None:
    put(client, bucket, "a")
    other.locked = True
    error(client.put(copy_url(other, "b", bucket, "a", name)), 403)
    other.locked, other.deleted = False, True
    error(client.put(copy_url(other, "b", bucket, "a", name)), 404)


def test_a_locked_bucket_may_be_copied_from_and_not_moved_from(client: Any, bucket: Bucket, other: Bucket) -> None:
    put(client, bucket, "a")
    bucket.locked = True
    assert client.put(copy_url(other, "b", bucket, "a")).status_code == 200
    error(client.put(copy_url(other, "c", bucket, "a", "move")), 403)
    assert heads(bucket).keys() == {"a"}


@pytest.mark.parametrize("name", ["copy", "move"])
def test_a_source_that_is_not_there_is_one_answer(client: Any, bucket: Bucket, other: Bucket, name: str) -> None:
    put(client, other, "gone")
    client.delete(url(other, "gone"))
    marker = ObjectVersion.query.filter_by(is_head=True).one().version_id
    put(client, other, "there")
    hidden = Bucket.create(bucket.location)
    put(client, hidden, "there")
    hidden.deleted = True
    answers = [
        error(client.put(f"{url(bucket, 'b')}?{name}={query}"), 404)
        for query in (
            f"gone&from={other.id}",
            f"x&from={other.id}",
            f"x&from={uuid4()}",
            "x",
            f"there&from={hidden.id}",
        )
    ]
    assert all(answer == answers[0] for answer in answers)
    if name == "copy":
        assert error(client.put(f"{url(bucket, 'b')}?copy=gone&from={other.id}&versionId={marker}"), 404) == answers[0]
    assert heads(bucket) == {}


WRONG = (
    ("copy=", 400, "key"),
    ("copy", 400, "key"),
    ("move=", 400, "key"),
    ("copy=a&move=a", 400, "move"),
    ("copy=a&copy=b", 400, "2 times"),
    ("copy=a&from=x", 422, "from"),
    ("copy=a&versionId=x", 422, "versionId"),
    ("move=a&versionId=5748ea48-e9ba-47e0-a9ed-01ccd3d09b03", 400, "versionId"),
    ("copy=a%00", 422, "copy"),
    ("copy=%FF", 422, "UTF-8"),
    ("Copy=a", 400, "copy"),
    ("copy=a&From=5748ea48-e9ba-47e0-a9ed-01ccd3d09b03", 400, "from"),
    ("copy=a&uploads", 400, "uploads"),
    ("copy=b", 400, "source and target"),
    ("move=b", 400, "source and target"),
    ("copy=5748ea48-e9ba-47e0-a9ed-01ccd3d09b03/a", 400, "from="),
    ("move=5748EA48-e9ba-47e0-a9ed-01ccd3d09b03/a", 400, "from="),
)


def test_what_is_wrong_or_ambiguous_is_told(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a")
    put(client, bucket, "b")
    before = rows()
    for query, status, word in WRONG:
        answer = error(client.put(f"{url(bucket, 'b')}?{query}"), status)
        assert word in str(answer), query
    assert rows() == before


def test_a_key_that_begins_as_a_bucket_does_is_copied_where_the_bucket_is_named(client: Any, bucket: Bucket) -> None:
    key = f"{uuid4()}/a"
    put(client, bucket, key)
    error(client.put(url(bucket, "b", copy=key)), 400)
    assert client.put(copy_url(bucket, "b", bucket, key)).status_code == 200


def test_a_key_is_taken_as_it_is(client: Any, bucket: Bucket) -> None:
    for key in ("/a", "a//b", "ä ö&=?#%", "http://host/files/x", "a:b", "a\nb", "%61"):
        put(client, bucket, key, key.encode())
        assert client.put(url(bucket, "copy", copy=key)).status_code == 200
        assert client.get(url(bucket, "copy")).data == key.encode()


def test_a_body_is_not_passed_over(client: Any, bucket: Bucket, location: Location) -> None:
    put(client, bucket, "a")
    with nothing_stays(location):
        for name in ("copy", "move"):
            assert "body" in error(client.put(url(bucket, "b", **{name: "a"}), data=b"x"), 400)["message"]
        chunked = {"wsgi.input": io.BytesIO(b"x"), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        error(client.put(url(bucket, "b", copy="a"), environ_overrides=chunked), 400)


def test_the_target_has_a_key_that_an_upload_may_have(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a")
    for key in ("..%2Fx", "k" * 256):
        error(client.put(f"{url(bucket)}/{key}?copy=a"), 400)


def test_an_old_key_is_copied_and_moved_away(client: Any, bucket: Bucket, db: Any) -> None:
    put(client, bucket, "a")
    ObjectVersion.record(bucket.id, "../x", ObjectVersion.query.one().file)
    db.session.commit()
    assert client.put(url(bucket, "b", copy="../x")).status_code == 200
    assert client.put(url(bucket, "c", move="../x")).status_code == 200
    assert heads(bucket).keys() == {"a", "b", "c"}


# Move


def test_a_move_leaves_one_object_and_the_versions_of_the_source(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a", b"old")
    put(client, bucket, "a", b"new", headers=TAGS)
    with received(file_uploaded) as uploaded, received(file_deleted) as deleted:
        moved = client.put(url(bucket, "b", move="a"))
    assert moved.status_code == 200
    assert moved.json["tags"] == {"lang": "fr", "kind": "text"}
    assert [(one.key, one.deleted) for one in uploaded + deleted] == [("b", False), ("a", True)]
    assert heads(bucket).keys() == {"b"}
    error(client.get(url(bucket, "a")), 404)
    listed = client.get(url(bucket, versions=True)).json
    assert [(one["key"], one["delete_marker"], one["size"]) for one in listed["contents"]] == [
        ("a", True, None),
        ("a", False, 3),
        ("a", False, 3),
        ("b", False, 3),
    ]
    assert listed["size"] == 9


def test_an_object_moves_to_another_bucket_and_to_another_location(
    client: Any, bucket: Bucket, other: Bucket, elsewhere: Bucket, location: Location
) -> None:
    put(client, bucket, "a")
    assert client.put(copy_url(other, "a", bucket, "a", "move")).status_code == 200
    assert stored(location) == [CONTENT]
    assert client.put(copy_url(elsewhere, "a", other, "a", "move")).status_code == 200
    assert stored(elsewhere.location) == [CONTENT]
    assert (heads(bucket), heads(other), heads(elsewhere).keys()) == ({}, {}, {"a"})


def test_a_move_that_fails_leaves_the_source(client: Any, bucket: Bucket, app: Any, monkeypatch: Any) -> None:
    put(client, bucket, "a")
    record = ObjectVersion.record

    def failing(bucket_id: Any, key: str, file: Any, **kwargs: Any) -> Any:
        if file is None:
            raise OSError("no marker")
        return record(bucket_id, key, file, **kwargs)

    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setattr(ObjectVersion, "record", failing)
    before = rows()
    assert client.put(url(bucket, "b", move="a")).status_code == 500
    assert rows() == before
    assert heads(bucket).keys() == {"a"}


@pytest.mark.parametrize("away", [False, True])
def test_an_object_that_is_replaced_before_it_is_moved_is_moved_as_it_then_is(
    client: Any, bucket: Bucket, other: Bucket, elsewhere: Bucket, app: Any, monkeypatch: Any, away: bool
) -> None:
    target = elsewhere if away else other
    put(client, bucket, "a", b"old")
    left = iter(range(2))
    share, path = copying._may_share, url(bucket.id, "a")

    def replacing(source: ObjectVersion, to: Bucket) -> bool:
        found = share(source, to)
        if (number := next(left, None)) is not None:
            assert app.test_client().put(path, data=b"new %d" % number).status_code == 200
        return found

    monkeypatch.setattr(copying, "_may_share", replacing)
    assert client.put(copy_url(target, "b", bucket, "a", "move")).status_code == 200
    assert client.get(url(target, "b")).data == b"new 1"
    assert heads(bucket) == {}
    # Of the bytes that were copied in vain nothing stays.
    assert stored(elsewhere.location) == ([b"new 1"] if away else [])


def test_an_object_that_is_replaced_again_and_again_is_not_moved(
    client: Any, bucket: Bucket, app: Any, monkeypatch: Any
) -> None:
    put(client, bucket, "a")
    path = url(bucket.id, "a")

    def replacing(source: ObjectVersion, target: Bucket) -> bool:
        return bool(app.test_client().put(path, data=b"new"))

    monkeypatch.setattr(copying, "_may_share", replacing)
    assert "replaced" in error(client.put(url(bucket, "b", move="a")), 409)["message"]
    assert heads(bucket).keys() == {"a"}


# Restore


def test_an_earlier_version_is_restored(client: Any, bucket: Bucket) -> None:
    old = put(client, bucket, "a", b"old", headers=TAGS)
    put(client, bucket, "a", b"new")
    with received(file_uploaded) as uploaded:
        restored = client.post(f"{url(bucket, 'a')}?restore&versionId={old['version_id']}")
    assert restored.status_code == 200
    assert [str(one.version_id) for one in uploaded] == [restored.json["version_id"]]
    assert restored.json["is_head"]
    assert restored.json["tags"] == old["tags"]
    assert client.get(url(bucket, "a")).data == b"old"
    assert len(client.get(url(bucket, versions=True)).json["contents"]) == 3


def test_a_deleted_object_is_restored(client: Any, bucket: Bucket) -> None:
    old = put(client, bucket, "a", b"old")
    client.delete(url(bucket, "a"))
    path = f"{url(bucket, 'a')}?restore&versionId={old['version_id']}"
    error(client.post(path, headers={"If-Match": "*"}), 412)
    assert client.post(path, headers={"If-None-Match": "*"}).status_code == 200
    assert client.get(url(bucket, "a")).data == b"old"


def test_an_old_key_is_restored_by_its_link(client: Any, bucket: Bucket, db: Any) -> None:
    put(client, bucket, "a")
    file = ObjectVersion.query.one().file
    for _ in range(2):
        ObjectVersion.record(bucket.id, "../x", file)
    db.session.commit()
    links = [one["links"] for one in client.get(url(bucket, versions=True)).json["contents"] if one["key"] == "../x"]
    restored = client.post(f"{links[1]['version']}&restore")
    assert (restored.status_code, restored.json["key"]) == (200, "../x")


def test_what_cannot_be_restored_is_refused(client: Any, bucket: Bucket) -> None:
    first = put(client, bucket, "a", b"12345")["version_id"]
    head = put(client, bucket, "a", b"12345")["version_id"]
    before = rows()
    assert "versionId" in error(client.post(url(bucket, "a", restore=True)), 400)["message"]
    error(client.post(f"{url(bucket, 'a')}?restore&versionId=x"), 422)
    error(client.post(f"{url(bucket, 'b')}?restore&versionId={first}"), 404)
    error(client.post(f"{url(bucket, 'a')}?restore&versionId={uuid4()}"), 404)
    error(client.post(f"{url(bucket, 'a')}?restore&versionId={first}&copy=b"), 400)
    error(client.post(f"{url(bucket, 'a')}?restore&versionId={first}", data=b"x"), 400)
    assert "latest" in error(client.post(f"{url(bucket, 'a')}?restore&versionId={head}"), 403)["message"]
    bucket.quota_size = 14
    error(client.post(f"{url(bucket, 'a')}?restore&versionId={first}"), 400)
    bucket.quota_size, bucket.locked = None, True
    error(client.post(f"{url(bucket, 'a')}?restore&versionId={first}"), 403)
    assert rows() == before


@pytest.mark.parametrize("name", ["copy", "move"])
def test_what_the_client_does_not_accept_is_refused(client: Any, bucket: Bucket, name: str) -> None:
    put(client, bucket, "a")
    before = rows()
    error(client.put(url(bucket, "b", **{name: "a"}), headers={"Accept": "image/png"}), 406)
    assert rows() == before


@pytest.mark.parametrize("name", ["copy", "move"])
def test_many_versions_and_tags_take_the_same_statements_as_few(
    client: Any, bucket: Bucket, other: Bucket, fill: Any, name: str
) -> None:
    fill(["few"], tags=1)
    fill(["many"], versions=50, tags=20)
    counts = []
    for key in ("few", "many"):
        with statements() as found:
            assert client.put(copy_url(other, key, bucket, key, name)).status_code == 200
        counts.append(sum(not statement.startswith("INSERT INTO files_objecttags") for statement in found))
    assert counts[0] == counts[1]
