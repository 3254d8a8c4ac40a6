"""Changes of a bucket as a whole: limits and lock by ``PATCH``, ``?snapshot`` and ``?sync`` by ``POST``."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from helpers.rest import CONTENT, error, put, rows, statements, stored, url
from helpers.stored import received

from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.signals import file_deleted, file_uploaded

pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.fixture
def other(bucket: Bucket, db: Any) -> Bucket:
    """Make a second bucket."""
    other = Bucket.create(bucket.location)
    db.session.commit()
    return other


def heads(bucket: Any) -> dict[str, Any]:
    """Return the files of a bucket by key."""
    return {head.key: head.file_id for head in ObjectVersion.get_by_bucket(getattr(bucket, "id", bucket))}


# Limits and lock


def test_limits_and_lock_are_changed(client: Any, bucket: Bucket) -> None:
    before = client.get(url(bucket)).json
    for change in (
        {"quota_size": 100, "max_file_size": 10, "locked": True},
        {"quota_size": 0},
        {"locked": False, "quota_size": None, "max_file_size": 2**63 - 1},
    ):
        response = client.patch(url(bucket), json=change)
        assert response.status_code == 200
        assert response.json.items() >= change.items()
        shown = client.get(url(bucket)).json
        assert {**shown, "contents": None} == {**response.json, "contents": None}
    assert set(shown) == set(before)
    merge = {"Content-Type": "application/merge-patch+json"}
    assert client.patch(url(bucket), data=b'{"locked": true}', headers=merge).json["locked"] is True


def test_limits_and_lock_hold_from_then_on(client: Any, bucket: Bucket) -> None:
    client.patch(url(bucket), json={"quota_size": 10})
    error(client.put(url(bucket, "a"), data=b"x" * 11), 400)
    client.patch(url(bucket), json={"quota_size": 11})
    put(client, bucket, "a", b"x" * 11)
    # What is there stays, however small the quota.
    assert client.patch(url(bucket), json={"quota_size": 1, "locked": True}).status_code == 200
    error(client.delete(url(bucket, "a")), 403)
    assert client.patch(url(bucket), json={"locked": False}).status_code == 200
    assert client.delete(url(bucket, "a")).status_code == 204


def test_a_wrong_change_changes_nothing(client: Any, bucket: Bucket) -> None:
    client.patch(url(bucket), json={"quota_size": 100})
    before = client.get(url(bucket)).json
    for body in (
        {},
        [],
        {"quota": 1},
        {"size": 0},
        {"deleted": True},
        {"quota_size": 5, "x": 1},
        {"quota_size": -1},
        {"quota_size": 2**63},
        {"quota_size": 1.5},
        {"quota_size": True},
        {"quota_size": "many"},
        {"max_file_size": []},
        {"locked": None},
        {"locked": "yes"},
        {"locked": 1},
        {"locked": True, "quota_size": "1e9"},
    ):
        error(client.patch(url(bucket), json=body), 422)
    error(client.patch(url(bucket), data=b"locked=true"), 415)
    error(client.patch(url(bucket), data=b"{", headers={"Content-Type": "application/json"}), 400)
    error(client.patch(url(bucket, uploads=True), json={"locked": True}), 400)
    error(client.patch(url(bucket), json={"locked": True}, headers={"Accept": "image/png"}), 406)
    error(client.patch(url(bucket), json={"locked": True}, headers={"If-Match": '"x"'}), 412)
    assert client.get(url(bucket)).json == before


def test_a_deleted_bucket_is_not_changed(client: Any, bucket: Bucket) -> None:
    bucket.deleted = True
    assert error(client.patch(url(bucket), json={"locked": True}), 404) == error(
        client.patch(url(uuid4()), json={"locked": True}), 404
    )


def test_a_bucket_is_not_changed_under_an_upload(client: Any, bucket: Bucket) -> None:
    """What looks like a request of tus is none of a bucket."""
    error(client.patch(url(bucket), json={"locked": True}, headers={"Tus-Resumable": "1.0.0"}), 405)
    error(client.patch(url(bucket, uploadId=uuid4()), json={"locked": True}), 404)
    assert not Bucket.get(bucket.id).locked


# Snapshot


def test_a_snapshot_has_the_objects_with_their_tags_and_no_other_versions(
    client: Any, bucket: Bucket, location: Any
) -> None:
    put(client, bucket, "a", b"old")
    put(client, bucket, "a", headers={"X-Invenio-File-Tags": "lang=fr"})
    put(client, bucket, "b/c")
    put(client, bucket, "gone")
    client.delete(url(bucket, "gone"))
    files = stored(location)
    with received(file_uploaded) as uploaded, received(file_deleted) as deleted:
        response = client.post(url(bucket, snapshot=True))
    assert response.status_code == 200
    copy = response.json
    assert copy["id"] != str(bucket.id)
    assert (copy["size"], copy["locked"]) == (2 * len(CONTENT), False)
    assert heads(copy["id"]) == heads(bucket)
    assert [(one.key, str(one.bucket_id)) for one in uploaded] == [("a", copy["id"]), ("b/c", copy["id"])]
    assert deleted == []
    assert stored(location) == files
    listed = client.get(copy["links"]["versions"]).json["contents"]
    assert [(one["key"], one["tags"]) for one in listed] == [("a", {"lang": "fr"}), ("b/c", {})]


def test_a_snapshot_is_locked_where_asked_for_or_its_source_is(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a")
    assert client.post(f"{url(bucket, snapshot=True)}&lock").json["locked"]
    bucket.locked = True
    assert client.post(url(bucket, snapshot=True)).json["locked"]


def test_a_wrong_snapshot_makes_no_bucket(client: Any, bucket: Bucket) -> None:
    before = rows()
    error(client.post(f"{url(bucket)}?snapshot&snapshot"), 400)
    error(client.post(f"{url(bucket)}?snapshot&uploads"), 400)
    error(client.post(f"{url(bucket)}?Snapshot"), 405)
    error(client.post(url(bucket, snapshot=True), headers={"Accept": "image/png"}), 406)
    error(client.post(url(bucket, snapshot=True), headers={"If-None-Match": "*"}), 412)
    error(client.post(url(bucket, snapshot=True), json={"lock": True}), 400)
    bucket.deleted = True
    error(client.post(url(bucket, snapshot=True)), 404)
    assert rows() == before


# Sync


def sync_url(target: Any, source: Any, more: str = "") -> str:
    return f"{url(target)}?sync&from={getattr(source, 'id', source)}{more}"


def test_a_sync_gives_a_bucket_the_objects_of_another_and_tells_the_changes(
    client: Any, bucket: Bucket, other: Bucket
) -> None:
    put(client, bucket, "new", headers={"X-Invenio-File-Tags": "lang=fr"})
    put(client, bucket, "gone")
    put(client, other, "changed", b"old")
    client.post(sync_url(other, bucket))
    put(client, bucket, "changed", b"changed")
    client.delete(url(bucket, "gone"))
    put(client, other, "extra")
    with received(file_uploaded) as uploaded, received(file_deleted) as deleted:
        response = client.post(sync_url(other, bucket))
    assert response.status_code == 200
    shown = response.json
    assert [(one["key"], one["delete_marker"], one["is_head"]) for one in shown["contents"]] == [
        ("changed", False, True),
        ("gone", True, True),
    ]
    assert (shown["id"], shown["size"]) == (str(other.id), Bucket.get(other.id).size)
    assert [one.key for one in uploaded] == ["changed"]
    assert [(one.key, one.deleted) for one in deleted] == [("gone", True)]
    assert heads(other) == {**heads(bucket), "extra": heads(other)["extra"]}
    assert client.post(sync_url(other, bucket)).json["contents"] == []
    extras = client.post(sync_url(other, bucket, "&delete-extras")).json["contents"]
    assert [(one["key"], one["delete_marker"]) for one in extras] == [("extra", True)]
    assert heads(other) == heads(bucket)


def test_a_sync_tells_the_tags_of_what_it_adds(client: Any, bucket: Bucket, other: Bucket) -> None:
    put(client, bucket, "a", headers={"X-Invenio-File-Tags": "lang=fr&kind=text"})
    [one] = client.post(sync_url(other, bucket)).json["contents"]
    assert one["tags"] == {"lang": "fr", "kind": "text"}
    assert client.get(one["links"]["version"]).data == CONTENT


@pytest.mark.parametrize(("limit", "most"), [("quota_size", 12), ("max_file_size", 5)])
def test_the_limits_hold_for_a_sync_as_a_whole(
    client: Any, bucket: Bucket, other: Bucket, limit: str, most: int
) -> None:
    for key, size in (("a", 3), ("b", 5), ("c", 4)):
        put(client, bucket, key, b"x" * size)
    setattr(other, limit, most - 1)
    before = rows()
    error(client.post(sync_url(other, bucket)), 400)
    assert rows() == before
    setattr(other, limit, most)
    assert len(client.post(sync_url(other, bucket)).json["contents"]) == 3
    assert Bucket.get(other.id).size == 12


def test_a_wrong_sync_changes_nothing(client: Any, bucket: Bucket, other: Bucket) -> None:
    put(client, bucket, "a")
    before = rows()
    assert "from" in error(client.post(url(other, sync=True)), 400)["message"]
    error(client.post(f"{url(other)}?sync&from=x"), 422)
    error(client.post(sync_url(other, uuid4())), 404)
    error(client.post(sync_url(other, other)), 400)
    error(client.post(f"{sync_url(other, bucket)}&sync"), 400)
    error(client.post(sync_url(other, bucket), json={"delete-extras": True}), 400)
    error(client.post(sync_url(other, bucket), headers={"Accept": "image/png"}), 406)
    error(client.post(sync_url(other, bucket), headers={"If-None-Match": "*"}), 412)
    other.locked = True
    error(client.post(sync_url(other, bucket)), 403)
    other.locked, bucket.deleted = False, True
    error(client.post(sync_url(other, bucket)), 404)
    bucket.deleted, other.deleted = False, True
    error(client.post(sync_url(other, bucket)), 404)
    assert rows() == before


def test_many_objects_take_the_same_statements_as_few(client: Any, bucket: Bucket, fill: Any, db: Any) -> None:
    counts = []
    for number in (5, 500):
        fill((f"{number}/{one}" for one in range(number)), tags=1)
        target = Bucket.create(bucket.location)
        db.session.commit()
        with statements() as found:
            assert client.post(url(bucket, snapshot=True)).status_code == 200
            assert client.post(sync_url(target, bucket)).status_code == 200
        counts.append(len(found))
    assert counts[0] == counts[1]
