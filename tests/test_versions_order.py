"""Versions are in the order of their commits, and an object's date never goes back, whatever the clocks say."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from helpers.parts import begin
from helpers.rest import put, url
from helpers.waiting import SECONDS
from invenio_db import db as db_
from sqlalchemy import select, update
from werkzeug.http import http_date, parse_date

from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion, succession
from invenio_files_rest.models.base import utcnow
from invenio_files_rest.tasks import migrate_file, verify_checksum

SECONDS_AHEAD = timedelta(seconds=5)


class Clock:
    """The clock of the host that the next change comes to."""

    ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utcnow() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("base", "succession"):
        monkeypatch.setattr(f"invenio_files_rest.models.{module}.utcnow", clock)
    return clock


def shift(model: Any, by: timedelta, *conditions: Any) -> None:
    """Let rows bear other times, as if another host had written them, or some time ago."""
    session = db_.session
    session.commit()
    table = model.__table__
    identity = next(iter(table.primary_key))
    for row in session.execute(select(table).where(*conditions)).mappings().all():
        times = {name: row[name] + by for name in ("created", "updated")}
        session.execute(update(table).where(identity == row[identity.name]).values(times))
    session.commit()


@pytest.fixture
def by_another_host(db: Any) -> Callable[[], None]:
    """Return a function that lets all there is come from a host whose clock is ahead."""
    return lambda: shift(ObjectVersion, SECONDS_AHEAD)


def create(bucket: Any, data: bytes = b"x", key: str = "a") -> ObjectVersion:
    return ObjectVersion.create(bucket, key, stream=BytesIO(data))


def order(bucket: Any, key: str = "a") -> list[Any]:
    """Return the identifiers of the versions from the newest to the oldest, by nothing but the time of their rows."""
    return [
        version.version_id
        for version in ObjectVersion.query.filter_by(bucket_id=bucket.id, key=key).order_by(
            ObjectVersion.created.desc()
        )
    ]


def by_storing(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    create(bucket, b"new")


def by_deletion(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    ObjectVersion.delete(bucket, "a")


def by_restoring(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    old.restore()


def by_a_folder(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"from a folder")
    list(populate_from_path(bucket, str(tmp_path / "folder")))


def by_copying_heads(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    other = Bucket.create()
    create(other)
    ObjectVersion.copy_from(other.id, bucket.id)


def by_sync(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    other = Bucket.create()
    create(other)
    other.sync(bucket)


def by_a_deletion_of_sync(bucket: Bucket, old: ObjectVersion, tmp_path: Path) -> None:
    Bucket.create().sync(bucket, delete_extras=True)


WAYS = [
    by_storing,
    by_deletion,
    by_restoring,
    by_a_folder,
    by_copying_heads,
    by_sync,
    by_a_deletion_of_sync,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_new_head_is_later_than_the_head_before_it(
    db: Any, bucket: Bucket, by_another_host: Callable[[], None], tmp_path: Path, way: Any
) -> None:
    old, head = create(bucket, b"old"), create(bucket, b"head")
    by_another_host()
    way(bucket, old, tmp_path)
    db.session.commit()
    newest = ObjectVersion.query.filter_by(bucket_id=bucket.id, key="a", is_head=True).one()
    assert newest not in (old, head)
    assert order(bucket) == [newest.version_id, head.version_id, old.version_id]
    # Of the head before, dates were sent: the date of the new one is later, and by a second.
    assert newest.last_modified.replace(microsecond=0) > head.updated.replace(microsecond=0)


@pytest.mark.usefixtures("allow_all", "small_parts")
def test_the_version_of_an_upload_in_parts_is_later_than_the_head_before_it(
    client: Any, db: Any, bucket: Bucket, by_another_host: Callable[[], None]
) -> None:
    upload = begin(client, bucket, "a")
    upload.put_all()
    head = create(bucket)
    by_another_host()
    assert upload.complete().json["completed"]
    assert order(bucket) == [ObjectVersion.get(bucket, "a").version_id, head.version_id]


@pytest.mark.usefixtures("allow_all")
def test_versions_are_listed_and_promoted_in_the_order_of_their_commits(client: Any, db: Any, bucket: Bucket) -> None:
    versions = []
    for number, ahead in enumerate((5, 0, 0)):
        version = put(client, bucket, "a", str(number).encode())["version_id"]
        versions.append(version)
        shift(ObjectVersion, timedelta(seconds=ahead), ObjectVersion.version_id == UUID(version))
    listed = client.get(url(bucket, versions=True)).json["contents"]
    assert [item["version_id"] for item in listed] == versions[::-1]
    for number in (1, 0):
        assert client.delete(url(bucket, "a", versionId=versions[number + 1])).status_code == 204
        assert client.get(url(bucket, "a")).data == str(number).encode()


def test_each_of_many_versions_in_a_moment_is_later(db: Any, bucket: Bucket, monkeypatch: Any) -> None:
    still = utcnow()
    monkeypatch.setattr(succession, "utcnow", lambda: still)
    versions = [create(bucket).version_id for _ in range(5)]
    db.session.commit()
    assert order(bucket) == versions[::-1]


def test_a_column_of_whole_seconds_keeps_the_order(db: Any, bucket: Bucket, monkeypatch: Any) -> None:
    """So 6.1 has made its tables on MySQL."""
    still = utcnow().replace(microsecond=700_000)
    monkeypatch.setattr(succession, "utcnow", lambda: still)
    versions = []
    for _ in range(3):
        versions.append(create(bucket).version_id)
        for version in ObjectVersion.query:
            whole = version.created.replace(microsecond=0)
            db.session.execute(
                update(ObjectVersion).where(ObjectVersion.version_id == version.version_id).values(created=whole)
            )
        db.session.commit()
    assert order(bucket) == versions[::-1]


@pytest.mark.usefixtures("allow_all")
def test_of_versions_of_one_time_the_listed_first_becomes_the_head(client: Any, db: Any, bucket: Bucket) -> None:
    """What 6.1 stored in one second has no order, but one answer."""
    for number in range(4):
        put(client, bucket, "a", str(number).encode())
    db.session.execute(update(ObjectVersion).values(created=datetime(2020, 2, 29, tzinfo=timezone.utc)))
    db.session.commit()
    while listed := client.get(url(bucket, versions=True)).json["contents"]:
        assert client.get(url(bucket, "a")).headers["ETag"] == f'"{listed[0]["checksum"]}"'
        assert client.delete(url(bucket, "a", versionId=listed[0]["version_id"])).status_code == 204


# When an object was last modified


def date(client: Any, bucket: Any, **query: Any) -> str:
    """Return the date of an object, once it is told."""
    deadline = time.monotonic() + SECONDS
    while True:
        response = client.get(url(bucket, "a", **query))
        assert response.status_code == 200
        if known := response.headers.get("Last-Modified"):
            assert when(known) <= datetime.now(timezone.utc)
            return str(known)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def when(known: str) -> datetime:
    found = parse_date(known)
    assert found is not None
    return found


def has(client: Any, bucket: Any, known: str) -> bytes | None:
    """Return what somebody who has an object of a date gets; ``None`` where they are told that they have it."""
    response = client.get(url(bucket, "a"), headers={"If-Modified-Since": known})
    assert response.status_code in (200, 304)
    return response.data if response.status_code == 200 else None


@pytest.mark.usefixtures("allow_all")
def test_who_has_a_version_that_is_removed_gets_the_one_before(client: Any, bucket: Bucket) -> None:
    """As ``wget -N`` asks for it."""
    put(client, bucket, "a", b"old")
    removed = put(client, bucket, "a", b"removed")["version_id"]
    known = date(client, bucket)
    assert has(client, bucket, known) is None
    client.delete(url(bucket, "a", versionId=removed))
    assert has(client, bucket, known) == b"old"


@pytest.mark.usefixtures("allow_all")
def test_who_has_a_version_gets_the_one_that_is_restored(client: Any, db: Any, bucket: Bucket) -> None:
    first = put(client, bucket, "a", b"first")["version_id"]
    put(client, bucket, "a", b"second")
    known = date(client, bucket)
    ObjectVersion.get(bucket, "a", first).restore()
    db.session.commit()
    assert has(client, bucket, known) == b"first"


@pytest.mark.usefixtures("allow_all")
def test_who_has_a_version_from_before_a_delete_marker_gets_it_anew(client: Any, bucket: Bucket) -> None:
    put(client, bucket, "a", b"first")
    known = date(client, bucket)
    client.delete(url(bucket, "a"))
    marker = ObjectVersion.query.filter_by(is_head=True).one()
    client.delete(url(bucket, "a", versionId=marker.version_id))
    assert has(client, bucket, known) == b"first"


@pytest.mark.usefixtures("allow_all")
def test_the_date_of_a_version_is_its_own_whatever_becomes_of_the_object(
    client: Any, db: Any, bucket: Bucket, clock: Clock
) -> None:
    clock.ahead = -timedelta(seconds=20)
    first = put(client, bucket, "a", b"first")["version_id"]
    clock.ahead = -timedelta(seconds=10)
    second = put(client, bucket, "a", b"second")["version_id"]
    dates = [date(client, bucket, versionId=version) for version in (first, second)]
    assert date(client, bucket) == dates[1]
    assert when(dates[1]) > when(dates[0])
    clock.ahead = timedelta(0)
    client.delete(url(bucket, "a", versionId=second))
    assert date(client, bucket, versionId=first) == dates[0]
    assert when(date(client, bucket)) > when(dates[1])
    assert client.get(url(bucket, "a", versionId=first), headers={"If-Modified-Since": dates[0]}).status_code == 304


@pytest.mark.usefixtures("allow_all")
def test_what_happens_to_the_file_does_not_modify_the_object(
    client: Any, db: Any, bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    db.session.add(Location(name="elsewhere", uri=str(tmp_path / "elsewhere")))
    put(client, bucket, "a", b"0123456789")
    for model in (ObjectVersion, FileInstance):
        shift(model, -timedelta(seconds=10))
    known = date(client, bucket)
    file_id = ObjectVersion.query.one().file_id
    for change in (
        lambda: verify_checksum(str(file_id)),
        lambda: FileInstance.touch(file_id),
        lambda: bucket.snapshot(),
        lambda: migrate_file(str(file_id), "elsewhere"),
    ):
        change()
        db.session.commit()
        assert date(client, bucket) == known
        assert has(client, bucket, known) is None
        part = client.get(url(bucket, "a"), headers={"Range": "bytes=5-", "If-Range": known})
        assert (part.status_code, part.data) == (206, b"56789")
    assert ObjectVersion.get(bucket, "a").file_id != file_id


@pytest.mark.usefixtures("allow_all")
@pytest.mark.parametrize("accel", [False, True])
def test_no_date_is_told_before_it_has_come(
    app: Any, client: Any, bucket: Bucket, clock: Clock, monkeypatch: Any, accel: bool
) -> None:
    """RFC 9110, section 8.8.2.1."""
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", accel)
    clock.ahead = timedelta(days=1)
    put(client, bucket, "a", b"first")
    clock.ahead = timedelta(0)
    put(client, bucket, "a", b"second")
    head = client.head(url(bucket, "a"))
    assert "Last-Modified" not in head.headers
    # Who takes the date of the answer instead gets the object until it has a date.
    now = {"If-Modified-Since": http_date(datetime.now(timezone.utc))}
    assert client.get(url(bucket, "a"), headers=now).status_code == 200
    assert client.get(url(bucket, "a"), headers={"If-None-Match": head.headers["ETag"]}).status_code == 304


def test_dates_of_many_heads_do_not_run_away(db: Any, bucket: Bucket) -> None:
    first = create(bucket)
    for _ in range(200):
        first = first.copy(key="a")
    db.session.commit()
    assert first.last_modified <= utcnow() + succession.CLOCKS_APART


@pytest.mark.parametrize("removed", [False, True])
def test_who_reads_what_they_have_just_written_can_go_on_with_its_date(
    client: Any, bucket: Bucket, allow_all: None, removed: bool
) -> None:
    for number in range(3):
        version = put(client, bucket, "a", str(number).encode())["version_id"]
    if removed:
        client.delete(url(bucket, "a", versionId=version))
    told = client.get(url(bucket, "a")).headers.get("Last-Modified")
    known = told or date(client, bucket)
    assert client.put(url(bucket, "a"), data=b"4", headers={"If-Unmodified-Since": known}).status_code == 200


@pytest.mark.usefixtures("allow_all")
def test_a_date_is_that_of_one_content_also_within_a_second(client: Any, bucket: Bucket, monkeypatch: Any) -> None:
    still = utcnow().replace(microsecond=1)
    monkeypatch.setattr(succession, "utcnow", lambda: still)
    put(client, bucket, "a", b"read")
    known = date(client, bucket)
    put(client, bucket, "a", b"written by another")
    assert client.put(url(bucket, "a"), data=b"4", headers={"If-Unmodified-Since": known}).status_code == 412
    assert client.delete(url(bucket, "a"), headers={"If-Unmodified-Since": known}).status_code == 412
    assert has(client, bucket, known) == b"written by another"
    part = client.get(url(bucket, "a"), headers={"Range": "bytes=0-3", "If-Range": known})
    assert (part.status_code, part.data) == (200, b"written by another")


def test_files_of_a_folder_that_replace_nothing_are_of_now(db: Any, bucket: Bucket, tmp_path: Path) -> None:
    """Whatever was stored in the bucket within the second."""
    create(bucket, key="other")
    shift(ObjectVersion, SECONDS_AHEAD)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"from a folder")
    list(populate_from_path(bucket, str(tmp_path / "folder")))
    assert ObjectVersion.get(bucket, "a").last_modified <= utcnow()


def test_a_later_change_of_the_row_does_not_move_the_date_back(db: Any, bucket: Bucket, by_another_host: Any) -> None:
    version = create(bucket)
    by_another_host()
    before = version.last_modified
    version.mimetype = "text/x-special"
    db.session.commit()
    assert version.last_modified >= before
