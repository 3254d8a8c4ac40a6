"""Locations and buckets: what they are made of, what they allow, and their tags."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from invenio_files_rest.errors import (
    BucketDeletedError,
    BucketLockedError,
    FilesException,
    FileSizeError,
    InvalidOperationError,
)
from invenio_files_rest.limiters import FileSizeLimit
from invenio_files_rest.models import (
    Bucket,
    BucketTag,
    FileInstance,
    Location,
    MultipartObject,
    ObjectVersion,
    ObjectVersionTag,
    Part,
    as_bucket,
    as_bucket_id,
)


def put(bucket: Any, key: str = "key", data: bytes = b"hello", **kwargs: Any) -> ObjectVersion:
    return ObjectVersion.create(bucket, key, stream=BytesIO(data), **kwargs)


@pytest.mark.parametrize("name", ["a", "a1", "with-dash", "a" * 20])
def test_a_location_takes_a_name_of_lower_case_letters_digits_and_dashes(db: Any, name: str) -> None:
    db.session.add(Location(name=name, uri="/x"))
    db.session.commit()
    assert Location.get_by_name(name).uri == "/x"
    assert repr(Location.get_by_name(name)) == name


@pytest.mark.parametrize("name", ["", "UPPER", "1a", "-a", "a b", "a_b", "é", "a" * 21, "a\n"])
def test_a_location_refuses_another_name(app: Any, name: str) -> None:
    with pytest.raises(ValueError, match="location name"):
        Location(name=name, uri="/x")


def test_the_name_of_a_location_is_unique(db: Any, location: Location) -> None:
    db.session.add(Location(name=location.name, uri="/other"))
    with pytest.raises(IntegrityError):
        db.session.commit()


def test_of_several_default_locations_the_latest_counts(db: Any, location: Location) -> None:
    assert Location.get_default() == location
    db.session.add(Location(name="other", uri="/other"))
    db.session.add(Location(name="later", uri="/later", default=True))
    db.session.commit()
    assert Location.get_default().name == "later"


def test_all_locations_are_a_list(db: Any, location: Location) -> None:
    db.session.add(Location(name="other", uri="/other"))
    db.session.flush()
    locations = Location.all()
    assert isinstance(locations, list)
    assert [one.name for one in locations] == ["testloc", "other"]


def test_without_a_default_location_there_is_none(db: Any) -> None:
    assert Location.get_default() is None
    assert Location.get_by_name("none") is None
    with pytest.raises(FilesException) as caught:
        Bucket.create()
    assert caught.value.code == 500
    assert Bucket.query.count() == 0


def test_a_bucket_is_made_of_the_defaults(app: Any, db: Any, location: Location) -> None:
    bucket = Bucket.create()
    db.session.commit()
    assert (bucket.location, bucket.default_location, bucket.default_storage_class) == (location, location.id, "S")
    assert (bucket.size, bucket.quota_size, bucket.max_file_size, bucket.quota_left) == (0, None, None, None)
    assert (bucket.locked, bucket.deleted, bucket.size_limit) == (False, False, None)
    assert repr(bucket) == str(bucket.id)
    assert abs((datetime.now(timezone.utc) - bucket.created).total_seconds()) < 60
    assert bucket.updated >= bucket.created


def test_a_bucket_takes_defaults_from_the_settings(
    app: Any, db: Any, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_DEFAULT_QUOTA_SIZE", 10)
    monkeypatch.setitem(app.config, "FILES_REST_DEFAULT_MAX_FILE_SIZE", 5)
    monkeypatch.setitem(app.config, "FILES_REST_DEFAULT_STORAGE_CLASS", "A")
    bucket = Bucket.create()
    assert (bucket.quota_size, bucket.max_file_size, bucket.default_storage_class) == (10, 5, "A")


def test_a_bucket_takes_attributes_of_the_caller(db: Any, location: Location) -> None:
    other = Location(name="other", uri="/other")
    db.session.add(other)
    identifier = uuid.uuid4()
    bucket = Bucket.create("other", storage_class="A", id=identifier, quota_size=7, max_file_size=3, locked=True)
    assert (bucket.id, bucket.location, bucket.default_storage_class) == (identifier, other, "A")
    assert (bucket.quota_left, bucket.max_file_size, bucket.locked) == (7, 3, True)
    assert Bucket.create(other).location == other


def test_a_bucket_refuses_an_unknown_location_or_storage_class(db: Any, location: Location) -> None:
    with pytest.raises(ValueError, match="location"):
        Bucket.create("unknown")
    with pytest.raises(ValueError, match="storage class"):
        Bucket.create(storage_class="X")
    assert Bucket.query.count() == 0


def test_a_location_with_buckets_cannot_be_deleted(db: Any, database: str, bucket: Bucket) -> None:
    if database == "sqlite":
        pytest.skip("SQLite does not enforce foreign keys unless told to.")
    with pytest.raises(IntegrityError):
        db.session.execute(Location.__table__.delete())


def test_a_deleted_bucket_is_marked_and_not_found(db: Any, bucket: Bucket) -> None:
    put(bucket)
    assert Bucket.delete(bucket.id) is True
    db.session.commit()
    assert bucket.deleted is True
    assert Bucket.get(bucket.id) is None
    assert Bucket.all().all() == []
    assert ObjectVersion.query.count() == 1
    assert Bucket.delete(bucket.id) is False
    assert Bucket.delete(uuid.uuid4()) is False


def test_a_bucket_is_found_by_its_identifier_in_any_form(bucket: Bucket) -> None:
    assert Bucket.get(bucket.id) == Bucket.get(str(bucket.id)) == bucket
    assert as_bucket(bucket) is bucket
    assert as_bucket(bucket.id) == as_bucket(str(bucket.id)) == bucket
    assert as_bucket_id(bucket) == as_bucket_id(bucket.id) == bucket.id
    assert as_bucket(uuid.uuid4()) is None


def test_a_deleted_bucket_takes_nothing(db: Any, bucket: Bucket) -> None:
    version = put(bucket)
    Bucket.delete(bucket.id)
    db.session.commit()
    for refused in (
        lambda: put(bucket),
        lambda: put(bucket.id),
        lambda: put(uuid.uuid4()),
        lambda: ObjectVersion.create(bucket, "key"),
        lambda: ObjectVersion.delete(bucket, "key"),
        lambda: version.copy(),
        lambda: bucket.snapshot(),
        lambda: bucket.sync(bucket),
        lambda: MultipartObject.create(bucket, "key", 1, 1),
    ):
        with pytest.raises(InvalidOperationError):
            refused()
    with pytest.raises(BucketDeletedError) as caught:
        put(bucket)
    assert caught.value.code == 404
    assert bucket.size == 5


def test_a_locked_bucket_takes_nothing(db: Any, bucket: Bucket) -> None:
    version = put(bucket, "key", b"old")
    put(bucket)
    other = Bucket.create()
    bucket.locked = True
    db.session.commit()
    for refused in (
        lambda: put(bucket),
        lambda: ObjectVersion.create(bucket, "key"),
        lambda: ObjectVersion.delete(bucket, "key"),
        lambda: version.restore(),
        lambda: version.copy(),
        lambda: version.remove(),
        lambda: bucket.remove(),
        lambda: other.sync(bucket),
        lambda: ObjectVersion.copy_from(other.id, bucket.id),
        lambda: MultipartObject.create(bucket, "key", 1, 1),
    ):
        with pytest.raises(BucketLockedError) as caught:
            refused()
        assert caught.value.code == 403
    assert (bucket.size, ObjectVersion.query.count(), FileInstance.query.count()) == (8, 2, 2)


def test_a_lock_that_another_session_set_is_seen(db: Any, bucket: Bucket) -> None:
    assert bucket.locked is False
    db.session.commit()
    assert bucket.locked is False
    with db.engine.connect() as connection:
        # Within the caller's transaction, which has the bucket as it was.
        db.session.rollback()
        assert bucket.size == 0
        db.session.rollback()
        connection.execute(Bucket.__table__.update().values(locked=True))
        connection.commit()
    with pytest.raises(BucketLockedError):
        Bucket.claim(bucket.id)


def test_the_size_of_a_bucket_counts_all_versions(db: Any, bucket: Bucket) -> None:
    put(bucket, "a", b"12345")
    put(bucket, "a", b"123")
    put(bucket, "b", b"1")
    ObjectVersion.delete(bucket, "a")
    db.session.commit()
    assert bucket.size == 9


@pytest.mark.parametrize(("quota", "largest", "limit", "reason"), [(8, 6, 6, "Maximum"), (4, 6, 4, "quota")])
def test_the_tightest_limit_binds(
    db: Any, bucket: Bucket, quota: int, largest: int, limit: int, reason: str, tmp_path: Path
) -> None:
    bucket.quota_size, bucket.max_file_size = quota, largest
    db.session.commit()
    assert bucket.size_limit == limit
    with pytest.raises(FileSizeError) as caught:
        put(bucket, data=b"x" * (limit + 1))
    assert reason in caught.value.description
    db.session.commit()
    assert (bucket.size, ObjectVersion.query.count(), FileInstance.query.count()) == (0, 0, 0)
    assert [path for path in (tmp_path / "location").rglob("*") if path.is_file()] == []
    put(bucket, data=b"x" * limit)
    db.session.commit()
    assert (bucket.size, bucket.quota_left) == (limit, quota - limit)


def test_a_quota_below_the_size_leaves_nothing(db: Any, bucket: Bucket) -> None:
    put(bucket)
    bucket.quota_size = 2
    db.session.commit()
    assert bucket.quota_left == 0
    with pytest.raises(FileSizeError):
        put(bucket, data=b"x")


def test_limiters_of_the_application_bind(app: Any, db: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def limiters(bucket: Bucket) -> list[FileSizeLimit]:
        seen.append(bucket.size)
        return [FileSizeLimit(None, "none"), FileSizeLimit(8 - bucket.size, "No more than eight bytes.")]

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "file_size_limiters", limiters)
    put(bucket, "a", b"12345")
    with pytest.raises(FileSizeError, match=r"No more than eight bytes\."):
        put(bucket, "b", b"1234")
    put(bucket, "b", b"123")
    assert bucket.size == 8
    # Also under the lock a limiter sees the size without the file that it is asked about.
    assert set(seen) == {0, 5}


def test_a_removed_bucket_takes_everything_with_it_but_files(
    app: Any, db: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "FILES_REST_MULTIPART_CHUNKSIZE_MIN", 1)
    kept = Bucket.create()
    version = put(bucket)
    put(bucket, data=b"second")
    version.copy(bucket=kept)
    ObjectVersionTag.create(version, "tag", "value")
    BucketTag.create(bucket, "tag", "value")
    upload = MultipartObject.create(bucket, "upload", 3, 2)
    Part.create(upload, 0, stream=BytesIO(b"ab"))
    db.session.commit()
    bucket_id = bucket.id
    assert bucket.remove() is bucket
    db.session.commit()
    assert [one.id for one in Bucket.query] == [kept.id]
    assert [one.bucket_id for one in ObjectVersion.query] == [kept.id]
    for model in (ObjectVersionTag, BucketTag, MultipartObject, Part):
        assert model.query.count() == 0
    assert FileInstance.query.count() == 3
    assert db.session.get(Bucket, bucket_id) is None


def test_a_bucket_marked_as_deleted_can_be_removed(db: Any, bucket: Bucket) -> None:
    put(bucket)
    Bucket.delete(bucket.id)
    bucket.remove()
    db.session.commit()
    assert Bucket.query.count() == 0


def test_tags_of_a_bucket(db: Any, bucket: Bucket) -> None:
    tag = BucketTag.create(bucket, "key", "value")
    BucketTag.create(bucket.id, "KEY", "other")
    db.session.commit()
    assert (tag.bucket, tag.key, tag.value) == (bucket, "key", "value")
    assert BucketTag.get(bucket, "key") == BucketTag.get(bucket.id, "key") == tag
    assert BucketTag.get_value(bucket, "KEY") == "other"
    assert BucketTag.get(bucket, "none") is None
    assert BucketTag.get_value(bucket, "none") is None
    assert bucket.get_tags() == {"key": "value", "KEY": "other"}
    BucketTag.create_or_update(bucket, "key", "new")
    BucketTag.create_or_update(bucket, "third", "3")
    assert bucket.get_tags() == {"key": "new", "KEY": "other", "third": "3"}
    BucketTag.delete(bucket, "key")
    BucketTag.delete(bucket, "none")
    assert bucket.get_tags() == {"KEY": "other", "third": "3"}


def test_a_second_tag_of_a_key_is_refused_and_the_transaction_goes_on(db: Any, bucket: Bucket) -> None:
    BucketTag.create(bucket, "key", "value")
    with pytest.raises(IntegrityError):
        BucketTag.create(bucket, "key", "second")
    BucketTag.create(bucket, "other", "value")
    db.session.commit()
    assert bucket.get_tags() == {"key": "value", "other": "value"}


@pytest.mark.parametrize("limit", ["quota_size", "max_file_size"])
def test_a_limit_is_a_number_of_bytes_that_a_database_keeps(bucket: Bucket, db: Any, limit: str):
    for value in (None, 0, 1, 2**63 - 1, 5e9):
        setattr(bucket, limit, value)
        db.session.commit()
        assert getattr(bucket, limit) == value
    for value in (-1, 2**63, 10**20, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="A size limit has 0 to 9223372036854775807 bytes"):
            setattr(bucket, limit, value)
        with pytest.raises(ValueError, match="A size limit"):
            Bucket.create(**{limit: value})
    setattr(bucket, limit, Bucket.size + 7)
    db.session.commit()
    assert getattr(bucket, limit) == 7
