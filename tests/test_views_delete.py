"""``DELETE /files/<bucket>/<key>``: a delete marker, or a version and its bytes for good."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from helpers.rest import CONTENT, error, nothing_stays, put, rows, stored, tree, url

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion

pytestmark = pytest.mark.usefixtures("allow_all")


def remove(client: Any, bucket: Any, key: str, version_id: Any) -> None:
    response = client.delete(url(bucket, key, versionId=version_id))
    assert (response.status_code, response.data) == (204, b"")


def test_a_delete_adds_a_marker_and_touches_no_byte(client: Any, bucket: Any, location: Any, db: Any) -> None:
    put(client, bucket, "a")
    response = client.delete(url(bucket, "a"))
    assert (response.status_code, response.data) == (204, b"")
    marker, version = client.get(url(bucket, versions=True)).json["contents"]
    assert (marker["delete_marker"], marker["is_head"]) == (True, True)
    assert (version["delete_marker"], version["is_head"]) == (False, False)
    assert stored(location) == [CONTENT]
    assert client.get(url(bucket)).json["size"] == len(CONTENT)


def test_a_deleted_object_is_not_deleted_again(client: Any, bucket: Any, location: Any) -> None:
    put(client, bucket, "a")
    client.delete(url(bucket, "a"))
    with nothing_stays(location):
        error(client.delete(url(bucket, "a")), 404)


def test_a_removed_version_is_gone_with_its_row_its_bytes_and_its_size(client: Any, bucket: Any, location: Any) -> None:
    empty = rows()
    version = put(client, bucket, "a", headers={"X-Invenio-File-Tags": "a=1"})["version_id"]
    remove(client, bucket, "a", version)
    assert rows() == empty
    assert tree(Path(location.uri)) == []
    error(client.get(url(bucket, "a", versionId=version)), 404)
    error(client.delete(url(bucket, "a", versionId=version)), 404)


def test_where_the_head_is_removed_the_version_before_becomes_the_head(client: Any, bucket: Any) -> None:
    first, second, third = (put(client, bucket, "a", content) for content in (b"one", b"two", b"three"))
    remove(client, bucket, "a", third["version_id"])
    assert client.get(url(bucket, "a")).data == b"two"
    remove(client, bucket, "a", first["version_id"])
    assert client.get(url(bucket, "a")).data == b"two"
    assert ObjectVersion.query.one().is_head
    remove(client, bucket, "a", second["version_id"])
    error(client.get(url(bucket, "a")), 404)


def test_where_a_marker_is_removed_the_object_is_back(client: Any, bucket: Any) -> None:
    put(client, bucket, "a")
    client.delete(url(bucket, "a"))
    remove(client, bucket, "a", ObjectVersion.query.filter_by(is_head=True).one().version_id)
    assert client.get(url(bucket, "a")).data == CONTENT
    assert client.get(url(bucket)).json["size"] == len(CONTENT)


def test_where_the_head_is_removed_a_marker_before_it_deletes_the_object(client: Any, bucket: Any) -> None:
    put(client, bucket, "a", b"one")
    client.delete(url(bucket, "a"))
    remove(client, bucket, "a", put(client, bucket, "a", b"two")["version_id"])
    error(client.get(url(bucket, "a")), 404)
    assert client.get(url(bucket)).json["contents"] == []


def test_bytes_that_another_version_refers_to_stay(client: Any, bucket: Any, location: Any, db: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    copy = bucket.snapshot()
    db.session.commit()
    remove(client, bucket, "a", version)
    assert stored(location) == [CONTENT]
    shown = client.get(url(copy, "a"))
    assert shown.data == CONTENT
    remove(client, copy, "a", ObjectVersion.query.one().version_id)
    assert stored(location) == []
    assert FileInstance.query.count() == 0


@pytest.mark.parametrize("beside", [False, True])
def test_bytes_outside_all_locations_stay(client: Any, bucket: Any, tmp_path: Any, db: Any, beside: bool) -> None:
    """A folder whose name only begins like a location's is outside, too."""
    folder = Path(f"{bucket.location.uri}-of-others" if beside else tmp_path / "elsewhere")
    folder.mkdir()
    path = folder / "data"
    path.write_bytes(CONTENT)
    obj = ObjectVersion.create(bucket, "a").set_location(str(path), len(CONTENT), "md5:" + "0" * 32)
    db.session.commit()
    remove(client, bucket, "a", obj.version_id)
    assert path.read_bytes() == CONTENT
    assert client.get(url(bucket)).json["size"] == 0


def test_bytes_in_a_location_that_is_not_the_bucket_s_own_are_removed(
    client: Any, bucket: Any, tmp_path: Any, db: Any
) -> None:
    """After a migration to another location the old files are still ours."""
    other = tmp_path / "other"
    other.mkdir()
    version = put(client, bucket, "a")["version_id"]
    bucket.location = Location(name="other", uri=str(other))
    db.session.commit()
    remove(client, bucket, "a", version)
    assert tree(tmp_path / "location") == []


def test_bytes_that_are_gone_already_are_no_error(client: Any, bucket: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    os.unlink(ObjectVersion.query.one().file.uri)
    remove(client, bucket, "a", version)
    assert FileInstance.query.count() == 0


def test_a_locked_bucket_keeps_everything(client: Any, bucket: Any, location: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    bucket.locked = True
    with nothing_stays(location):
        error(client.delete(url(bucket, "a")), 403)
        error(client.delete(url(bucket, "a", versionId=version)), 403)


def test_a_deleted_bucket_is_not_found(client: Any, bucket: Any, location: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    Bucket.delete(bucket.id)
    with nothing_stays(location):
        error(client.delete(url(bucket, "a")), 404)
        error(client.delete(url(bucket, "a", versionId=version)), 404)


def test_a_broker_that_fails_undoes_nothing_and_is_logged(
    client: Any, bucket: Any, location: Any, monkeypatch: Any, caplog: Any
) -> None:
    from invenio_files_rest.tasks import remove_file_data

    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no broker")

    version = put(client, bucket, "a")["version_id"]
    monkeypatch.setattr(remove_file_data, "delay", fail)
    with caplog.at_level(logging.ERROR):
        remove(client, bucket, "a", version)
    assert "no broker" in caplog.text
    assert ObjectVersion.query.count() == 0
    assert FileInstance.query.count() == 1


@pytest.mark.parametrize("folder", ["", "a name", str(UUID(int=1))])
@pytest.mark.parametrize("name", ["foo.bin", "data"])
def test_a_file_that_lies_in_a_location_directly_goes_without_the_folder_of_the_location(
    client: Any, location: Any, db: Any, folder: str, name: str
) -> None:
    root = Path(location.uri, folder)
    root.mkdir(exist_ok=True)
    location.uri = str(root)
    bucket = Bucket.create(location)
    (root / name).write_bytes(b"x")
    linked = ObjectVersion.create(bucket, "linked").set_location(str(root / name), 1, "md5:x")
    db.session.commit()
    remove(client, bucket, "linked", linked.version_id)
    assert tree(root.parent) == ([folder] if folder else ["location"])


def test_what_is_not_there_is_not_removed(client: Any, bucket: Any, location: Any) -> None:
    put(client, bucket, "a")
    with nothing_stays(location):
        error(client.delete(url(bucket, "a", versionId=uuid4())), 404)
        error(client.delete(url(bucket, "b")), 404)
        error(client.delete(url(uuid4(), "a")), 404)


def test_who_reads_a_version_that_is_removed_in_that_moment_does_not_find_it(
    app: Any, client: Any, bucket: Any, monkeypatch: Any
) -> None:
    path = url(bucket, "a", versionId=put(client, bucket, "a")["version_id"])
    send_file = ObjectVersion.send_file

    def overtaken(self: ObjectVersion, **kwargs: Any) -> Any:
        with ThreadPoolExecutor(1) as another:
            assert another.submit(app.test_client().delete, path).result().status_code == 204
        return send_file(self, **kwargs)

    monkeypatch.setattr(ObjectVersion, "send_file", overtaken)
    error(client.get(url(bucket, "a")), 404)
