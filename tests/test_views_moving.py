"""Reading a file that is migrated, and removed where it was, between the look at its row and its opening."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.rest import CONTENT, error, put, url

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.storage import PyFSFileStorage
from invenio_files_rest.tasks import migrate_file, remove_file_data
from invenio_files_rest.views import object as object_view

pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.fixture
def other(db: Any, tmp_path: Path) -> Location:
    """Make a second location."""
    other = Location(name="other", uri=str(tmp_path / "other"))
    db.session.add(other)
    db.session.commit()
    return other


@pytest.fixture
def moving(app: Any, bucket: Bucket, other: Location, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that has the next openings of a file come too late, as many as it is told."""
    original = PyFSFileStorage.send_file
    names = [other.name, bucket.location.name]

    def move(uri: str) -> None:
        with app.app_context():
            source = FileInstance.get_by_uri(uri).id
            to = names[0] if uri.startswith(bucket_folder) else names[1]
            assert migrate_file(str(source), to)
            assert remove_file_data(str(source), force=True)
        assert not Path(uri).exists()

    bucket_folder = bucket.location.uri

    def overtake(times: int) -> None:
        left = iter(range(times))

        def send_file(self: PyFSFileStorage, *args: Any, **kwargs: Any) -> Any:
            if next(left, None) is not None:
                with ThreadPoolExecutor(1) as another:
                    another.submit(move, self.fileurl).result()
            return original(self, *args, **kwargs)

        monkeypatch.setattr(PyFSFileStorage, "send_file", send_file)

    return overtake


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("times", [1, object_view._OPEN_ATTEMPTS - 1])
def test_a_file_is_sent_from_where_it_has_moved_to(
    client: Any, bucket: Bucket, moving: Callable[[int], None], times: int, method: str
) -> None:
    version = put(client, bucket, "a.txt")["version_id"]
    expected = client.open(url(bucket, "a.txt"), method=method)
    for path in (url(bucket, "a.txt"), url(bucket, "a.txt", versionId=version)):
        moving(times)
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.data) == (200, CONTENT if method == "GET" else b"")
        kept = "ETag", "Content-Length", "Content-Type"
        assert [answer.headers[name] for name in kept] == [expected.headers[name] for name in kept]
    assert ObjectVersion.query.one().file.readable


def test_a_range_is_sent_from_where_the_file_has_moved_to(
    client: Any, bucket: Bucket, moving: Callable[[int], None]
) -> None:
    put(client, bucket)
    moving(1)
    answer = client.get(url(bucket, "a.txt"), headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.data) == (206, CONTENT[2:5])


def test_a_file_that_the_web_server_does_not_have_is_sent_from_where_it_has_moved_to(
    app: Any, client: Any, bucket: Bucket, moving: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, bucket)
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_ENABLED", True)
    monkeypatch.setitem(app.config, "FILES_REST_XSENDFILE_MAPPING", {"/elsewhere": "/internal"})
    moving(1)
    assert client.get(url(bucket, "a.txt")).data == CONTENT


def test_a_file_that_never_stands_still_is_an_error_in_the_end(
    client: Any, bucket: Bucket, moving: Callable[[int], None]
) -> None:
    put(client, bucket)
    moving(object_view._OPEN_ATTEMPTS)
    error(client.get(url(bucket, "a.txt")), 500)
    assert client.get(url(bucket, "a.txt")).data == CONTENT
