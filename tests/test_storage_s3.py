"""Locations in real object stores, in an application: over REST, in uploads in progress, in sweep and migration."""

from __future__ import annotations

import hashlib
import io
import logging
import random
import zipfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from helpers.rest import error, put, url
from helpers.s3 import BUCKET, Store, asked

from invenio_files_rest.errors import StorageBusyError
from invenio_files_rest.models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from invenio_files_rest.services.moving import migrate_file
from invenio_files_rest.services.sweep import sweep
from invenio_files_rest.services.uploads.plans import APPENDED, PARTS
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory
from invenio_files_rest.storage.local import TEMPORARY_PREFIX
from invenio_files_rest.storage.uploads import ExtentWrite, Uploads

pytest.importorskip("boto3", reason="the extra s3 is not installed")
from invenio_files_rest.storage.s3 import S3FileStorage
from invenio_files_rest.storage.s3.listing import S3Listing

pytestmark = pytest.mark.slow

MIB = 1024**2


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


@pytest.mark.usefixtures("allow_all")
class TestOverRest:
    def test_one_request_to_the_store_stores_a_small_object_and_one_reads_it(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        bucket = str(s3_bucket.id)
        put(client, bucket, "warm", b"up")
        with asked(store) as names:
            answer = put(client, bucket, "a.txt", b"0123456789")
            assert (answer["checksum"], answer["size"]) == (md5(b"0123456789"), 10)
            assert names == ["PutObject"]
        with asked(store) as names:
            assert client.get(url(bucket, "a.txt")).data == b"0123456789"
            assert names == ["GetObject"]

    def test_a_range_is_passed_on(
        self, app: Flask, client: FlaskClient, s3_bucket: Bucket, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(app.config, "FILES_REST_ALLOW_RANGE_REQUESTS", True)
        content = noise(6 * MIB)
        put(client, s3_bucket, "a.bin", content)
        with asked(store) as names:
            answer = client.get(url(s3_bucket, "a.bin"), headers={"Range": "bytes=5000000-5000009"})
            assert (answer.status_code, answer.data) == (206, content[5000000:5000010])
            assert names == ["GetObject"]
            assert client.get(url(s3_bucket, "a.bin"), headers={"Range": "bytes=-3"}).data == content[-3:]

    def test_moving_in_a_file_costs_no_request_and_stops_at_its_beginning(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        put(client, s3_bucket, "a.txt", b"0123456789")
        file = ObjectVersion.get(s3_bucket, "a.txt").file.storage().open()
        target = bytearray(4)
        with asked(store) as names, closing(file):
            assert [file.seek(0, io.SEEK_END), file.seek(-7, io.SEEK_CUR), file.seek(2)] == [10, 3, 2]
            with pytest.raises(ValueError, match="before the beginning"):
                file.seek(-11, io.SEEK_END)
            assert names == []
            assert (file.readinto(target), bytes(target), file.tell()) == (4, b"2345", 6)
            assert names == ["GetObject"]

    def test_conditions_and_head_are_decided_before_the_store_is_asked(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        put(client, s3_bucket, "a.txt", b"0123456789")
        tag = client.get(url(s3_bucket, "a.txt")).headers["ETag"]
        with asked(store) as names:
            assert client.get(url(s3_bucket, "a.txt"), headers={"If-None-Match": tag}).status_code == 304
            assert client.get(url(s3_bucket, "a.txt"), headers={"If-Match": '"other"'}).status_code == 412
            answer = client.head(url(s3_bucket, "a.txt"))
            assert (answer.status_code, answer.content_length) == (200, 10)
            assert names == []

    def test_a_body_of_unknown_length_is_streamed_in_parts(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        content = noise(11 * MIB)
        environ = {"wsgi.input": io.BytesIO(content), "wsgi.input_terminated": True}
        with asked(store) as names:
            answer = client.put(
                url(s3_bucket, "a.bin"), environ_overrides=environ, headers={"Transfer-Encoding": "chunked"}
            )
            assert answer.json["checksum"] == md5(content)
            assert sorted(names) == ["CompleteMultipartUpload", "CreateMultipartUpload"] + 3 * ["UploadPart"]
        assert client.get(url(s3_bucket, "a.bin")).data == content

    def test_nothing_is_left_of_a_body_that_is_too_short(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        environ = {"wsgi.input": io.BytesIO(noise(7 * MIB)), "CONTENT_LENGTH": str(8 * MIB)}
        assert client.put(url(s3_bucket, "a.bin"), environ_overrides=environ).status_code == 400
        assert store.names() == store.unfinished() == []

    def test_a_removed_version_is_removed_from_the_store(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        version = put(client, s3_bucket, "a.txt")["version_id"]
        assert len(store.names()) == 1
        assert client.delete(url(s3_bucket, "a.txt", versionId=version)).status_code == 204
        assert store.names() == []

    def test_a_multipart_upload_of_the_rest_api_becomes_parts_of_one_of_the_store(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store, worker: None
    ) -> None:
        parts = [noise(5 * MIB, 1), noise(5 * MIB, 2), noise(1000, 3)]
        size = sum(map(len, parts))
        address = url(s3_bucket, "a.bin", uploads=True, size=size, partSize=5 * MIB)
        begun = client.post(address).json["id"]
        with asked(store) as names:
            for number in (2, 0, 1, 0):
                answer = client.put(url(s3_bucket, "a.bin", uploadId=begun, partNumber=number), data=parts[number])
                assert answer.json["checksum"] == md5(parts[number])
            assert sorted(names) == ["PutObject", "UploadPart", "UploadPart", "UploadPart"]
        answer = client.post(url(s3_bucket, "a.bin", uploadId=begun))
        assert answer.status_code == 200, answer.text
        assert b"failed" not in answer.data.lower()
        shown = client.get(url(s3_bucket, "a.bin"))
        assert shown.data == b"".join(parts)
        assert shown.headers["ETag"] == f'"{md5(shown.data)}"'
        assert [key.rpartition("/")[2] for key in store.names()] == ["data"]
        assert store.unfinished() == []

    def test_each_part_is_one_request_to_the_store_and_so_is_a_large_download(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        size = 12 * MIB
        begun = client.post(url(s3_bucket, "a.bin", uploads=True, size=size, partSize=6 * MIB)).json["id"]
        for number in range(2):
            with asked(store) as names:
                client.put(url(s3_bucket, "a.bin", uploadId=begun, partNumber=number), data=noise(6 * MIB))
                assert names == ["UploadPart"]
        client.post(url(s3_bucket, "a.bin", uploadId=begun)).get_data()
        with asked(store) as names:
            assert len(client.get(url(s3_bucket, "a.bin")).data) == size
            assert names == ["GetObject"]

    def test_an_archive_that_was_refused_can_be_corrected_in_its_upload(
        self, client: FlaskClient, s3_bucket: Bucket
    ) -> None:
        def archive(name: str) -> bytes:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as opened:
                opened.writestr(name, b"content")
            return packed.getvalue()

        wrong, right = archive("../a"), archive("in/a")
        begun = client.post(url(s3_bucket, "x", uploads=True, size=len(right), partSize=5 * MIB)).json["id"]
        for part, status in ((wrong, 400), (right, 200)):
            assert client.put(url(s3_bucket, "x", uploadId=begun, partNumber=0), data=part).status_code == 200
            answer = client.post(url(s3_bucket, extract=True, uploadId=begun))
            assert answer.status_code == status, answer.text
        assert client.get(url(s3_bucket, "in/a")).data == b"content"

    def test_nothing_is_left_of_a_multipart_upload_that_is_aborted(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        begun = client.post(url(s3_bucket, "a", uploads=True, size=6 * MIB, partSize=5 * MIB)).json["id"]
        for number, size in ((0, 5 * MIB), (1, MIB)):
            client.put(url(s3_bucket, "a", uploadId=begun, partNumber=number), data=noise(size))
        assert store.unfinished()
        assert client.delete(url(s3_bucket, "a", uploadId=begun)).status_code == 204
        assert store.names() == store.unfinished() == []


@pytest.mark.usefixtures("allow_all")
class TestRedirects:
    @pytest.fixture(autouse=True)
    def redirect(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(app.config, "FILES_REST_S3_REDIRECT", timedelta(minutes=5))
        monkeypatch.setitem(app.config, "FILES_REST_S3_REDIRECT_INLINE", ["image/png", "image/svg+xml"])

    def test_a_client_is_sent_to_the_store_which_gives_an_attachment(
        self, client: FlaskClient, s3_bucket: Bucket, store: Store
    ) -> None:
        put(client, s3_bucket, "page é.html", b"<script>")
        with asked(store) as names:
            answer = client.get(url(s3_bucket, "page é.html"))
            assert names == []
        assert (answer.status_code, answer.headers["Cache-Control"]) == (302, "no-store")
        assert store.settings["secret_access_key"] not in answer.location
        sent = requests.get(answer.location, headers={"Range": "bytes=0-3"}, timeout=10)
        assert (sent.status_code, sent.content) == (206, b"<scr")
        assert sent.headers["Content-Disposition"].startswith("attachment")
        assert sent.headers["Content-Type"].startswith("text/plain")
        assert requests.get(answer.location.replace("Expires=300", "Expires=900"), timeout=10).status_code == 403

    @pytest.mark.parametrize(("name", "how"), [("a.png", "inline"), ("a.svg", "attachment"), ("a.jpg", "attachment")])
    def test_a_browser_shows_raster_images_that_the_setting_names(
        self, client: FlaskClient, s3_bucket: Bucket, name: str, how: str
    ) -> None:
        put(client, s3_bucket, name, b"image")
        sent = requests.get(client.get(url(s3_bucket, name)).location, timeout=10)
        assert sent.headers["Content-Disposition"].startswith(how)

    def test_conditions_and_head_are_answered_by_us(self, client: FlaskClient, s3_bucket: Bucket) -> None:
        put(client, s3_bucket, "a.txt", b"0123")
        head = client.head(url(s3_bucket, "a.txt"))
        assert (head.status_code, head.content_length) == (200, 4)
        same = client.get(url(s3_bucket, "a.txt"), headers={"If-None-Match": head.headers["ETag"]})
        assert same.status_code == 304

    @pytest.mark.parametrize("is_same", [True, False])
    def test_what_holds_of_our_tags_and_dates_alone_is_not_left_to_the_store(
        self, app: Flask, client: FlaskClient, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, is_same: bool
    ) -> None:
        """A client repeats its conditions where it is sent to."""
        monkeypatch.setitem(app.config, "FILES_REST_ALLOW_RANGE_REQUESTS", True)
        tag = f'"{put(client, s3_bucket, "a.txt", b"0123")["checksum"]}"'
        if not is_same:
            put(client, s3_bucket, "a.txt", b"4567")
        resumed = client.get(url(s3_bucket, "a.txt"), headers={"If-Range": tag, "Range": "bytes=2-"})
        assert (resumed.status_code, resumed.data) == ((206, b"23") if is_same else (200, b"4567"))
        assert client.get(url(s3_bucket, "a.txt"), headers={"If-Match": tag}).status_code == (200 if is_same else 412)
        long_ago = "Thu, 01 Jan 1998 00:00:00 GMT"
        assert client.get(url(s3_bucket, "a.txt"), headers={"If-Modified-Since": long_ago}).status_code == 200


class TestUploadsInProgress:
    def test_a_run_that_breaks_goes_on_and_the_store_puts_it_together(self, s3_bucket: Bucket, store: Store) -> None:
        content = noise(13 * MIB + 5)
        upload = APPENDED.begin(s3_bucket, "a.bin", len(content), protocol="test")
        at = 0
        for size in (1000, 7 * MIB, 2 * MIB, 1, 4 * MIB):
            at = APPENDED.write(upload, at, io.BytesIO(content[at : at + size])).offset
        assert APPENDED.offset(upload).offset == at
        APPENDED.write(upload, at, io.BytesIO(content[at:]))
        with asked(store) as names:
            version = APPENDED.complete(upload)
        assert names.count("CompleteMultipartUpload") == 1
        file = ObjectVersion.query.filter_by(version_id=version).one().file
        assert (file.size, file.checksum) == (len(content), md5(content))
        assert file.verify_checksum()
        assert [key.rpartition("/")[2] for key in store.names()] == ["data"]

    def test_large_parts_go_to_the_store_in_one_request_and_nothing_is_copied(
        self, s3_bucket: Bucket, store: Store
    ) -> None:
        parts = [noise(8 * MIB, 1), noise(5 * MIB, 2), noise(3, 3)]
        upload = PARTS.begin(s3_bucket, "a.bin", protocol="test")
        for number in (3, 1, 2):
            data = parts[number - 1]
            with asked(store) as names:
                PARTS.write(upload, number, io.BytesIO(data), size=len(data))
            assert names == (["UploadPart"] if number < 3 else ["ListParts", "PutObject"])
        with asked(store) as names:
            version = PARTS.complete(upload)
        assert "UploadPartCopy" not in names
        assert names.count("UploadPart") == 1
        assert ObjectVersion.query.filter_by(version_id=version).one().file.checksum == md5(b"".join(parts))

    def test_a_small_part_between_large_ones_and_a_part_that_was_replaced_are_in_their_places(
        self, s3_bucket: Bucket
    ) -> None:
        parts = [noise(6 * MIB, 1), b"small", noise(6 * MIB, 2), noise(5 * MIB, 3)]
        upload = PARTS.begin(s3_bucket, "a.bin", protocol="test")
        PARTS.write(upload, 4, io.BytesIO(noise(7 * MIB)), size=7 * MIB)
        for number, data in enumerate(parts, start=1):
            PARTS.write(upload, number, io.BytesIO(data), size=len(data))
        version = PARTS.complete(upload)
        assert ObjectVersion.query.filter_by(version_id=version).one().file.checksum == md5(b"".join(parts))


class TestMaintenance:
    def test_only_what_no_row_names_is_removed_under_our_prefix(
        self, db: SQLAlchemy, s3_bucket: Bucket, store: Store
    ) -> None:
        kept = ObjectVersion.create(s3_bucket, "kept", stream=io.BytesIO(b"kept"))
        fixed = MultipartObject.create(s3_bucket, "fixed", 6 * MIB, 5 * MIB)
        db.session.commit()
        free = PARTS.begin(s3_bucket, "free", protocol="test")
        dead = pyfs_storage_factory(FileInstance.new(), default_location=store.location.uri)
        uploads = dead.capability(Uploads)
        uploads.write(uploads.begin(), ExtentWrite(1), io.BytesIO(b"dead"))
        stray = pyfs_storage_factory(FileInstance.new(), default_location=store.location.uri)
        stray.save(io.BytesIO(b"stray"))
        ours = store.location.uri.removeprefix(f"s3://{BUCKET}/")
        others = [f"{ours}/photos/data", f"{ours}-other/{uuid4()}/data"]
        begun = [store.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"] for key in others]

        assert list(sweep(timedelta(hours=1), delete=True)) == []
        found = list(sweep(timedelta(seconds=-1), delete=True))
        assert sorted(finding.kind for finding in found) == ["file", "temporary", "temporary"]
        assert all(finding.done for finding in found)
        assert kept.file.storage().open().read() == b"kept"
        PARTS.write(free, 1, io.BytesIO(b"still there"), size=11)
        fixed.file.storage().update(io.BytesIO(noise(5 * MIB)), seek=0, size=5 * MIB)
        for key, upload_id in zip(others, begun, strict=True):
            store.client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id)
        PARTS.abort(free)

    def test_an_upload_whose_parts_still_come_is_not_left_over_however_long_ago_it_began(self, store: Store) -> None:
        storage = store.maker()(str(uuid4()))
        upload = storage.multipart_initialize_upload(parts=2, size=9 * MIB, part_size=5 * MIB)
        storage.multipart_set_content(1, io.BytesIO(noise(5 * MIB)), 5 * MIB, **upload)
        came, listing = storage._object.last_part(upload["upload_id"]), S3Listing(store.location)
        assert list(listing.walk(store.location.uri, came)) == []
        (entry,) = listing.walk(store.location.uri, came + 1)
        listing.remove(store.location.uri, entry)
        assert store.unfinished() == []

    def test_removing_a_file_lists_nothing_of_the_others_beside_it(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They may be millions: those of a whole location, if the file was put directly in it."""
        listed = []

        def note(params: dict[str, str], **kwargs: object) -> None:
            listed.append(params["Prefix"].rpartition("/")[2])

        client = store.of_application()
        client.meta.events.register("before-parameter-build.s3.ListObjectsV2", note)
        try:
            storage = S3FileStorage(f"{store.location.uri}/linked.bin", store.location)
            storage.save(io.BytesIO(b"linked"))
            storage.delete()
        finally:
            client.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", note)
        assert listed == [TEMPORARY_PREFIX]
        assert store.names() == []

    def test_a_file_moves_between_a_folder_and_an_object_store(
        self, db: SQLAlchemy, s3_bucket: Bucket, tmp_path: Path
    ) -> None:
        content = noise(6 * MIB)
        version = ObjectVersion.create(s3_bucket, "a.bin", stream=io.BytesIO(content))
        (tmp_path / "folder").mkdir()
        db.session.add(Location(name="folder", uri=str(tmp_path / "folder")))
        db.session.commit()
        for name, begin in (("folder", "/"), ("s3", "s3://")):
            assert migrate_file(version.file_id, name)
            db.session.refresh(version)
            assert version.file.uri.startswith(begin)
            assert version.file.verify_checksum()

    def test_a_uri_that_no_setting_names_goes_where_it_went(self, app: Flask, s3_bucket: Bucket, store: Store) -> None:
        file = f"{store.location.uri}/aa/data"
        assert not isinstance(pyfs_storage_factory(fileurl=file, size=1), PyFSFileStorage)
        for other in (f"{store.location.uri}-other/aa/data", "s3://elsewhere/data", "/a/folder/data"):
            assert isinstance(pyfs_storage_factory(fileurl=other, size=1), PyFSFileStorage)
        own = type("Own", (PyFSFileStorage,), {})
        assert isinstance(pyfs_storage_factory(fileurl=file, size=1, filestorage_class=own), own)


def test_credentials_stand_in_no_row_log_or_error(
    app: Flask, db: SQLAlchemy, client: FlaskClient, allow_all: None, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "a-secret-of-the-test"
    settings = {**store.settings, "secret_access_key": secret, "attempts": 1}
    app.config["FILES_REST_S3_LOCATIONS"] = {store.location.uri: settings}
    try:
        location = Location(name="s3", uri=store.location.uri, default=True)
        db.session.add(location)
        db.session.commit()
        bucket = Bucket.create(location)
        db.session.commit()
        with caplog.at_level(logging.DEBUG, logger=app.logger.name):
            answer = client.put(url(bucket, "a.txt"), data=b"some")
        assert error(answer, 503)
        assert answer.headers["Retry-After"]
        storage = pyfs_storage_factory(fileurl=f"{store.location.uri}/aa/data", size=1)
        with pytest.raises(StorageBusyError) as raised:
            storage.open()
        for text in (caplog.text, answer.text, repr(raised.value), str(raised.value), repr(storage._object.location)):
            assert secret not in text
            assert store.settings["endpoint_url"] not in answer.text
    finally:
        app.config["FILES_REST_S3_LOCATIONS"] = {}
