"""What Invenio-Records-Resources does with this module: its own code, unmodified, against ours.

It comes with the extra ``ecosystem``; without it these tests are skipped.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

pytest.importorskip("invenio_records_resources", reason="the extra ecosystem is not installed")

from invenio_access import InvenioAccess
from invenio_access.permissions import system_identity
from invenio_accounts import InvenioAccounts
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_i18n import InvenioI18N
from invenio_pidstore import InvenioPIDStore
from invenio_pidstore.providers.recordid_v2 import RecordIdProviderV2
from invenio_records import InvenioRecords
from invenio_records.models import RecordMetadataBase
from invenio_records.systemfields import ModelField
from invenio_records_permissions.generators import SystemProcess
from invenio_records_permissions.policies.records import RecordPermissionPolicy
from invenio_records_resources import InvenioRecordsResources
from invenio_records_resources.records.api import FileRecord, Record
from invenio_records_resources.records.models import FileRecordModelMixin
from invenio_records_resources.records.systemfields import FilesField, PIDField
from invenio_records_resources.services import FileService, FileServiceConfig
from sqlalchemy import URL
from sqlalchemy_utils.types import UUIDType

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.errors import BucketLockedError, FileSizeError, InvalidKeyError
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion


class RecordModel(db.Model, RecordMetadataBase):
    __tablename__ = "ecosystem_records"

    bucket_id = db.Column(UUIDType, db.ForeignKey(Bucket.id))
    bucket = db.relationship(Bucket)


class FileModel(db.Model, RecordMetadataBase, FileRecordModelMixin):
    __tablename__ = "ecosystem_files"
    __record_model_cls__ = RecordModel


class RecordFile(FileRecord):
    model_cls = FileModel
    record_cls: Any = None


class RecordWithFiles(Record):
    model_cls = RecordModel
    pid = PIDField("id", provider=RecordIdProviderV2)
    bucket_id = ModelField()
    bucket = ModelField(dump=False)
    files = FilesField(store=False, file_cls=RecordFile)


RecordFile.record_cls = RecordWithFiles


class Policy(RecordPermissionPolicy):
    can_create_files = (SystemProcess(),)
    can_set_content_files = (SystemProcess(),)
    can_get_content_files = (SystemProcess(),)
    can_commit_files = (SystemProcess(),)
    can_read_files = (SystemProcess(),)
    can_update_files = (SystemProcess(),)
    can_delete_files = (SystemProcess(),)


class ServiceConfig(FileServiceConfig):
    service_id = "ecosystem"
    record_cls = RecordWithFiles
    permission_policy_cls = Policy


@pytest.fixture(params=["classic", "staged"])
def app(request: pytest.FixtureRequest, empty_database_url: URL, tmp_path: Path) -> Iterator[Flask]:
    """Push an application that has records with files, on a database of its own."""
    app = Flask("records", instance_path=str(tmp_path))
    app.config.update(
        ACCOUNTS_SESSION_REDIS_URL="",
        CELERY_CACHE_BACKEND="memory",
        CELERY_RESULT_BACKEND="cache",
        CELERY_TASK_ALWAYS_EAGER=True,
        CELERY_TASK_EAGER_PROPAGATES=True,
        RECORDS_RESOURCES_USE_STAGED_TRANSFER=request.param == "staged",
        SECRET_KEY="for tests alone",
        SQLALCHEMY_DATABASE_URI=empty_database_url.render_as_string(hide_password=False),
    )
    for extension in (
        InvenioCelery,
        InvenioDB,
        InvenioI18N,
        InvenioAccounts,
        InvenioAccess,
        InvenioPIDStore,
        InvenioRecords,
        InvenioFilesREST,
        InvenioRecordsResources,
    ):
        extension(app)
    with app.app_context():
        db.create_all()
        (tmp_path / "files").mkdir()
        db.session.add(Location(name="local", uri=str(tmp_path / "files"), default=True))
        db.session.commit()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def service(app: Flask) -> FileService:
    """Register a service of files."""
    service = FileService(ServiceConfig)
    app.extensions["invenio-records-resources"].registry.register(service, service_id="ecosystem")
    return service


@pytest.fixture
def record(app: Flask) -> RecordWithFiles:
    return new_record()


def new_record() -> RecordWithFiles:
    record = RecordWithFiles.create({})
    record.commit()
    db.session.commit()
    return record


def upload(service: FileService, record: RecordWithFiles, key: str, content: bytes) -> None:
    pid = record.pid.pid_value
    service.init_files(system_identity, pid, [{"key": key}])
    service.set_file_content(system_identity, pid, key, io.BytesIO(content), len(content))
    service.commit_file(system_identity, pid, key)


def loaded(record: RecordWithFiles) -> RecordWithFiles:
    """Return the record as another request would find it."""
    pid = record.pid.pid_value
    db.session.expire_all()
    return RecordWithFiles.pid.resolve(pid, registered_only=False)


def contents(record: RecordWithFiles) -> dict[str, bytes]:
    found = {}
    for key, file in loaded(record).files.items():
        with file.open_stream("rb") as stream:
            found[key] = stream.read()
    return found


def stored_files() -> int:
    return sum(path.is_file() for path in Path(Location.get_default().uri).rglob("*"))


def test_a_file_is_uploaded_committed_and_read(service: FileService, record: RecordWithFiles):
    upload(service, record, "data.txt", b"some bytes")
    result = service.get_file_content(system_identity, record.pid.pid_value, "data.txt")
    with result.get_stream("rb") as stream:
        assert stream.read() == b"some bytes"
    item = service.read_file_metadata(system_identity, record.pid.pid_value, "data.txt").to_dict()
    assert (item["status"], item["size"]) == ("completed", 10)
    assert item["checksum"] == f"md5:{hashlib.md5(b'some bytes').hexdigest()}"
    assert loaded(record).bucket.size == 10


def test_an_upload_goes_the_way_that_the_settings_choose(app: Flask, service: FileService, record: RecordWithFiles):
    service.init_files(system_identity, record.pid.pid_value, [{"key": "data.txt"}])
    staged = service.file_upload.uses_staged_upload(loaded(record).files["data.txt"])
    assert staged == app.config["RECORDS_RESOURCES_USE_STAGED_TRANSFER"]


def test_a_file_is_sent(app: Flask, service: FileService, record: RecordWithFiles):
    upload(service, record, "data.txt", b"some bytes")
    with app.test_request_context(headers={"Range": "bytes=5-"}):
        response = service.get_file_content(system_identity, record.pid.pid_value, "data.txt").send_file()
        response.direct_passthrough = False
        assert response.get_data() == b"bytes"


def test_an_upload_over_the_quota_leaves_nothing(service: FileService, record: RecordWithFiles):
    record.files.set_quota(5, 5)
    db.session.commit()
    with pytest.raises(FileSizeError):
        upload(service, record, "data.txt", b"some bytes")
    db.session.rollback()
    assert stored_files() == 0
    assert loaded(record).bucket.size == 0


def test_an_upload_that_breaks_off_leaves_no_bytes(service: FileService, record: RecordWithFiles):
    class BreakingOff(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("The client has gone.")
            return super().read(4)

    pid = record.pid.pid_value
    service.init_files(system_identity, pid, [{"key": "data.txt"}])
    result = service.set_file_content(system_identity, pid, "data.txt", BreakingOff(b"some bytes"), 10)
    assert result.errors
    assert stored_files() == 0
    assert loaded(record).bucket.size == 0


def test_a_deleted_file_is_gone_from_the_record(service: FileService, record: RecordWithFiles):
    upload(service, record, "data.txt", b"some bytes")
    service.delete_file(system_identity, record.pid.pid_value, "data.txt")
    assert contents(record) == {}
    assert ObjectVersion.get(loaded(record).bucket, "data.txt") is None


def test_a_pending_upload_can_be_deleted_and_begun_again(service: FileService, record: RecordWithFiles):
    pid = record.pid.pid_value
    service.init_files(system_identity, pid, [{"key": "data.txt"}])
    service.delete_file(system_identity, pid, "data.txt")
    upload(service, record, "data.txt", b"again")
    assert contents(record) == {"data.txt": b"again"}


def test_all_files_are_deleted(service: FileService, record: RecordWithFiles):
    for key in "abc":
        upload(service, record, key, b"1")
    service.delete_all_files(system_identity, record.pid.pid_value)
    assert contents(record) == {}


def test_a_file_is_uploaded_in_parts(service: FileService, record: RecordWithFiles):
    pid = record.pid.pid_value
    transfer = {"type": "M", "parts": 2, "part_size": 6}
    service.init_files(system_identity, pid, [{"key": "data.txt", "size": 10, "transfer": transfer}])
    service.set_multipart_file_content(system_identity, pid, "data.txt", 2, io.BytesIO(b"ytes"), 4)
    service.set_multipart_file_content(system_identity, pid, "data.txt", 1, io.BytesIO(b"some b"), 6)
    service.commit_file(system_identity, pid, "data.txt")
    assert contents(record) == {"data.txt": b"some bytes"}
    file = loaded(record).files["data.txt"].object_version.file
    assert file.checksum == f"md5:{hashlib.md5(b'some bytes').hexdigest()}"


def test_a_remote_file_is_a_link(app: Flask, service: FileService, record: RecordWithFiles):
    app.config["RECORDS_RESOURCES_FILES_ALLOWED_REMOTE_DOMAINS"] = ["example.org"]
    transfer = {"type": "R", "url": "https://example.org/data.txt"}
    for one in (record, new_record()):
        service.init_files(system_identity, one.pid.pid_value, [{"key": "data.txt", "transfer": transfer}])
    assert FileInstance.query.filter_by(uri="https://example.org/data.txt").count() == 1


def test_files_are_copied_to_another_record_without_their_bytes(service: FileService, record: RecordWithFiles):
    for key in "ab":
        upload(service, record, key, key.encode())
    other = new_record()
    other.files.copy(loaded(record).files)
    other.commit()
    db.session.commit()
    assert contents(other) == {"a": b"a", "b": b"b"}
    assert stored_files() == 2
    assert loaded(other).bucket.size == 2


def test_files_are_synced_both_ways(service: FileService, record: RecordWithFiles):
    for key in "ab":
        upload(service, record, key, key.encode())
    other = new_record()
    other.files.copy(loaded(record).files)
    other.commit()
    db.session.commit()
    upload(service, record, "c", b"c")
    service.delete_file(system_identity, record.pid.pid_value, "a")
    other = loaded(other)
    other.files.sync(loaded(record).files)
    other.commit()
    db.session.commit()
    assert contents(other) == {"b": b"b", "c": b"c"}


def test_a_draft_is_published_edited_and_published_again(service: FileService, record: RecordWithFiles):
    """The steps of Invenio-Drafts-Resources, each in one transaction."""
    draft = record
    upload(service, draft, "a", b"a")
    upload(service, draft, "b", b"b")

    draft, published = loaded(draft), RecordWithFiles.create({})
    published.files.remove_bucket(force=True)
    published.files.set_bucket(draft.bucket)
    published.files.copy(draft.files, copy_obj=False)
    published.files.lock()
    published.commit()
    draft.files.teardown(full=False)
    draft.files.unset_bucket()
    draft.commit()
    db.session.commit()
    assert contents(published) == {"a": b"a", "b": b"b"}

    draft, published = loaded(draft), loaded(published)
    draft.files.create_bucket()
    draft.files.copy(published.files)
    draft.commit()
    db.session.commit()
    service.delete_file(system_identity, draft.pid.pid_value, "a")
    upload(service, draft, "c", b"c")
    assert contents(published) == {"a": b"a", "b": b"b"}

    draft, published = loaded(draft), loaded(published)
    published.files.unlock()
    published.files.sync(draft.files, delete_extras=True)
    published.files.lock()
    published.commit()
    draft.files.teardown(full=True)
    draft.commit()
    db.session.commit()
    assert contents(published) == {"b": b"b", "c": b"c"}
    assert loaded(published).bucket.locked
    assert Bucket.query.count() == 1


def test_locked_files_cannot_be_changed_until_they_are_unlocked(service: FileService, record: RecordWithFiles):
    upload(service, record, "a", b"a")
    record = loaded(record)
    record.files.lock()
    db.session.commit()
    with pytest.raises(BucketLockedError):
        record.files["b"] = io.BytesIO(b"b")
    db.session.rollback()
    with pytest.raises(BucketLockedError):
        record.files.sync(new_record().files)
    db.session.rollback()
    record = loaded(record)
    record.files.unlock()
    record.files["b"] = io.BytesIO(b"b")
    db.session.commit()
    assert contents(record) == {"a": b"a", "b": b"b"}


def test_a_key_exists_once(record: RecordWithFiles):
    record.files.create("a", stream=io.BytesIO(b"a"))
    with pytest.raises(InvalidKeyError):
        record.files.create("a", stream=io.BytesIO(b"a"))


def test_a_file_on_the_record_is_replaced_and_its_bytes_counted(record: RecordWithFiles):
    record.files.create("a", stream=io.BytesIO(b"old"))
    db.session.commit()
    record.files.update("a", stream=io.BytesIO(b"newer"))
    db.session.commit()
    assert contents(record) == {"a": b"newer"}
    assert loaded(record).bucket.size == 8


def test_tearing_down_the_files_removes_the_bucket(service: FileService, record: RecordWithFiles):
    upload(service, record, "a", b"a")
    record = loaded(record)
    bucket_id = record.bucket_id
    record.files.teardown()
    record.commit()
    db.session.commit()
    assert Bucket.query.filter_by(id=bucket_id).count() == 0
    assert ObjectVersion.query.filter_by(bucket_id=bucket_id).count() == 0
