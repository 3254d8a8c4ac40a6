"""Files: their URIs, checksums and bytes, and what is known of their health."""

from __future__ import annotations

import hashlib
import os
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from invenio_files_rest.errors import (
    FileInstanceUnreadableError,
    FileSizeError,
    StorageError,
    UnexpectedFileSizeError,
)
from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion

HELLO = f"md5:{hashlib.md5(b'hello').hexdigest()}"


@pytest.fixture
def file(db: Any, location: Location) -> FileInstance:
    """Make a file that holds ``hello``."""
    file = FileInstance.create()
    file.set_contents(BytesIO(b"hello"), default_location=location.uri)
    db.session.commit()
    return file


def read(file: FileInstance) -> bytes:
    with file.storage().open() as stream:
        return stream.read()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_new_file_is_writable_and_not_readable(db: Any) -> None:
    file = FileInstance.create()
    db.session.commit()
    assert (file.readable, file.writable, file.size, file.uri) == (False, True, 0, None)
    assert (file.last_check, file.last_check_at, file.checksum) == (True, None, None)
    assert FileInstance.get(file.id) == FileInstance.get(str(file.id)) == file
    assert FileInstance.get(uuid.uuid4()) is None
    assert repr(file) == f"<FileInstance {file.id}>"


def test_contents_make_a_file_readable_and_no_longer_writable(file: FileInstance) -> None:
    assert (file.readable, file.writable, file.size, file.checksum) == (True, False, 5, HELLO)
    assert (read(file), file.storage_class) == (b"hello", "S")
    assert FileInstance.get_by_uri(file.uri) == file
    assert FileInstance.get_by_uri("/none") is None
    with pytest.raises(ValueError, match="writable"):
        file.set_contents(BytesIO(b"other"))
    with pytest.raises(ValueError, match="writable"):
        file.update_contents(BytesIO(b"other"))
    with pytest.raises(ValueError, match="writable"):
        file.init_contents(5)
    assert read(file) == b"hello"


def test_contents_report_progress_and_keep_the_storage_class(db: Any, location: Location) -> None:
    file, seen = FileInstance.create(), []
    file.set_contents(
        BytesIO(b"hello"),
        chunk_size=2,
        size=5,
        progress_callback=lambda *numbers: seen.append(numbers),
        default_location=location.uri,
        default_storage_class="A",
    )
    assert seen[-1] == (5, 5)
    assert file.storage_class == "A"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"size_limit": 4}, FileSizeError),
        ({"size": 4}, UnexpectedFileSizeError),
        ({"size": 6}, UnexpectedFileSizeError),
    ],
)
def test_contents_of_another_size_leave_nothing(
    db: Any, location: Location, arguments: dict[str, int], error: type[Exception]
) -> None:
    file = FileInstance.create()
    with pytest.raises(error):
        file.set_contents(BytesIO(b"hello"), default_location=location.uri, **arguments)
    assert (file.readable, file.uri) == (False, None)
    assert files_in(Path(location.uri)) == []


def test_room_is_made_and_filled_in_any_order(db: Any, location: Location) -> None:
    file = FileInstance.create()
    file.init_contents(size=5, default_location=location.uri)
    assert (file.readable, file.writable, file.size) == (False, True, 5)
    assert file.update_contents(BytesIO(b"lo"), seek=3, size=2) == (2, f"md5:{hashlib.md5(b'lo').hexdigest()}")
    file.update_contents(BytesIO(b"hel"))
    file.readable = True
    file.update_checksum()
    assert (read(file), file.checksum) == (b"hello", HELLO)


def test_contents_are_copied_to_another_file(file: FileInstance, location: Location) -> None:
    copy = FileInstance.create()
    copy.copy_contents(file, default_location=location.uri)
    assert (copy.readable, copy.writable, copy.size, copy.checksum) == (True, False, 5, HELLO)
    assert copy.uri != file.uri
    assert (read(copy), read(file)) == (b"hello", b"hello")


def test_room_without_bytes_is_filled_from_another_file(file: FileInstance, location: Location) -> None:
    room = FileInstance.create()
    room.init_contents(default_location=location.uri)
    uri = room.uri
    room.copy_contents(file)
    assert (room.uri, room.readable, room.writable, read(room)) == (uri, True, False, b"hello")


def test_contents_are_copied_from_readable_to_writable_files_alone(file: FileInstance, location: Location) -> None:
    with pytest.raises(ValueError, match="not readable"):
        FileInstance.create().copy_contents(FileInstance.create(), default_location=location.uri)
    with pytest.raises(ValueError, match="not writable"):
        file.copy_contents(FileInstance.create())


@pytest.mark.parametrize("size", [5, None])
def test_a_copy_never_takes_the_place_of_bytes(file: FileInstance, location: Location, size: int | None) -> None:
    other = FileInstance.create()
    other.set_contents(BytesIO(b"other"), default_location=location.uri)
    other.writable, other.size = True, size
    with pytest.raises(ValueError, match="has data"):
        other.copy_contents(file)
    assert read(other) == b"other"


def test_a_copy_of_another_size_is_not_kept(file: FileInstance, location: Location) -> None:
    file.size = 7
    copy = FileInstance.create()
    with pytest.raises(UnexpectedFileSizeError):
        copy.copy_contents(file, default_location=location.uri)
    assert (copy.readable, copy.uri) == (False, None)
    assert len(files_in(Path(location.uri))) == 1


def test_a_checksum_that_agrees_is_noted(file: FileInstance) -> None:
    assert file.verify_checksum() is True
    assert file.last_check is True
    assert file.last_check_at is not None


def test_a_checksum_that_does_not_agree_is_noted(file: FileInstance) -> None:
    Path(file.uri).write_bytes(b"HELLO")
    assert file.verify_checksum() is False
    assert file.last_check is False
    assert file.last_check_at is not None
    assert file.clear_last_check() is file
    assert file.last_check is None


@pytest.mark.parametrize("checksum", [None, "elsewhere:abc"])
def test_a_checksum_that_cannot_be_compared_leaves_the_check_unknown(file: FileInstance, checksum: str | None) -> None:
    file.checksum = checksum
    assert file.verify_checksum() is None
    assert file.last_check is None
    assert file.last_check_at is not None


@pytest.mark.parametrize("checksum", ["", "md5", "abc", "md5:", ":abc", f"{HELLO}:x"])
def test_a_text_that_is_no_checksum_never_agrees(db: Any, file: FileInstance, checksum: str) -> None:
    db.session.commit()
    # Past the model, as a row that others have written.
    db.session.execute(update(FileInstance).values(checksum=checksum))
    assert file.checksum == checksum
    assert file.verify_checksum() is False
    assert file.last_check is False
    assert file.last_check_at is not None


def test_a_missing_file_raises_or_leaves_the_check_unknown(file: FileInstance) -> None:
    os.unlink(file.uri)
    with pytest.raises((OSError, StorageError)):
        file.verify_checksum()
    assert (file.last_check, file.last_check_at) == (True, None)
    assert file.verify_checksum(throws=False) is None
    assert file.last_check is None
    assert file.last_check_at is not None


def test_a_checksum_reports_progress(file: FileInstance) -> None:
    seen: list[Any] = []
    file.update_checksum(progress_callback=lambda *numbers: seen.append(numbers), chunk_size=2)
    assert seen[-1] == (5, 5)
    assert file.checksum == HELLO


def test_a_checksum_of_a_file_without_a_known_size_reports_no_progress(file: FileInstance) -> None:
    seen: list[Any] = []
    file.size = None
    assert file.verify_checksum(progress_callback=lambda *numbers: seen.append(numbers)) is True
    assert seen == []


def test_a_failing_callback_of_a_checksum_is_a_storage_error(file: FileInstance) -> None:
    def fail(size: int | None, done: int) -> None:
        raise RuntimeError("The caller is gone.")

    with pytest.raises(StorageError) as caught:
        file.update_checksum(progress_callback=fail)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(StorageError):
        file.verify_checksum(progress_callback=fail)
    assert (file.checksum, file.last_check, file.last_check_at) == (HELLO, True, None)
    assert file.verify_checksum(progress_callback=fail, throws=False) is None
    assert file.last_check is None


def test_a_failing_callback_of_an_upload_is_raised_and_nothing_is_kept(db: Any, location: Location) -> None:
    def fail(size: int | None, done: int) -> None:
        raise RuntimeError("The caller is gone.")

    file = FileInstance.create()
    with pytest.raises(RuntimeError):
        file.set_contents(BytesIO(b"hello"), default_location=location.uri, progress_callback=fail)
    assert (file.readable, file.uri, files_in(Path(location.uri))) == (False, None, [])


def test_a_file_that_is_not_readable_is_neither_checked_nor_sent(db: Any) -> None:
    file = FileInstance.create()
    for refused in (file.verify_checksum, file.update_checksum, lambda: file.send_file("name")):
        with pytest.raises(FileInstanceUnreadableError) as caught:
            refused()
        assert caught.value.code == 503


def test_a_file_is_sent(app: Any, file: FileInstance) -> None:
    with app.test_request_context():
        response = file.send_file("hello.txt", mimetype="text/plain", restricted=False)
        response.direct_passthrough = False
        assert response.get_data() == b"hello"
        assert response.headers["ETag"] == f'"{HELLO}"'


@pytest.mark.parametrize(
    ("asked", "disposition"),
    [
        ({}, "attachment"),
        ({"mimetype": "image/png"}, "inline"),
        ({"mimetype": "text/plain", "as_attachment": True}, "attachment"),
    ],
)
def test_a_file_is_sent_without_a_name(app: Any, file: FileInstance, asked: dict[str, Any], disposition: str) -> None:
    for send in (file.send_file, file.storage().send_file):
        with app.test_request_context():
            response = send(**asked)
            response.direct_passthrough = False
            assert response.get_data() == b"hello"
            assert response.headers["Content-Disposition"].startswith(disposition)


@pytest.mark.parametrize("checksum", ["md5:abc", "sha256:" + "0" * 64, None])
def test_a_checksum_names_its_algorithm(app: Any, checksum: str | None) -> None:
    assert FileInstance(checksum=checksum).checksum == checksum


@pytest.mark.parametrize("checksum", ["abc", "md5:", ":abc", "md5:a:b", "md5:abc\n"])
def test_a_checksum_of_another_form_is_refused(app: Any, checksum: str) -> None:
    with pytest.raises(ValueError, match="checksum"):
        FileInstance(checksum=checksum)


def test_a_uri_that_is_too_long_is_refused(db: Any) -> None:
    db.session.add(FileInstance(uri="x" * 255))
    db.session.commit()
    with pytest.raises(ValueError, match="too long"):
        FileInstance(uri="x" * 256)


def test_a_uri_belongs_to_one_file(db: Any, file: FileInstance) -> None:
    db.session.add(FileInstance(uri=file.uri.upper()))
    db.session.commit()
    db.session.add(FileInstance(uri=file.uri))
    with pytest.raises(IntegrityError):
        db.session.commit()


def test_a_file_is_deleted_but_not_its_bytes(db: Any, file: FileInstance) -> None:
    path = Path(file.uri)
    assert file.delete() is file
    db.session.commit()
    assert FileInstance.query.count() == 0
    assert path.read_bytes() == b"hello"


def test_a_file_that_is_in_use_is_not_deleted(db: Any, bucket: Bucket) -> None:
    version = ObjectVersion.create(bucket, "key", stream=BytesIO(b"hello"))
    db.session.commit()
    with pytest.raises(IntegrityError):
        version.file.delete()
    db.session.rollback()
    assert FileInstance.query.count() == 1


def test_files_that_nothing_refers_to_are_found(db: Any, bucket: Bucket, file: FileInstance) -> None:
    ObjectVersion.create(bucket, "key", stream=BytesIO(b"hello"))
    assert FileInstance.query_orphaned().all() == [file]
