"""Signals of the REST API: after the commit, once, and harmless."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.rest import CONTENT, put, url
from sqlalchemy import func, select

from invenio_files_rest.models import ObjectVersion
from invenio_files_rest.signals import file_deleted, file_downloaded, file_uploaded

pytestmark = pytest.mark.usefixtures("allow_all")

SIGNALS = {"downloaded": file_downloaded, "uploaded": file_uploaded, "deleted": file_deleted}


@pytest.fixture
def heard(app: Any, db: Any) -> Iterator[list[Any]]:
    """Collect the signals: name, sender, key, and the number of versions that another connection sees."""
    found: list[Any] = []

    def listen(name: str) -> Any:
        def receive(sender: Any, obj: Any = None, **kwargs: Any) -> None:
            with db.engine.connect() as connection:
                seen = connection.scalar(select(func.count()).select_from(ObjectVersion.__table__))
            found.append((name, sender, obj.key, seen))

        return receive

    receivers = {name: listen(name) for name in SIGNALS}
    for name, signal in SIGNALS.items():
        signal.connect(receivers[name])
    yield found
    for name, signal in SIGNALS.items():
        signal.disconnect(receivers[name])


def test_each_is_sent_once_and_after_the_commit(client: Any, bucket: Any, heard: Any, app: Any) -> None:
    version = put(client, bucket, "a")["version_id"]
    client.get(url(bucket, "a"))
    client.delete(url(bucket, "a"))
    client.delete(url(bucket, "a", versionId=version))
    assert heard == [
        ("uploaded", app, "a", 1),
        ("downloaded", app, "a", 1),
        ("deleted", app, "a", 2),
        ("deleted", app, "a", 1),
    ]


def test_a_range_and_an_attachment_are_downloads(client: Any, bucket: Any, heard: Any) -> None:
    put(client, bucket, "a")
    client.get(url(bucket, "a"), headers={"Range": "bytes=0-1"})
    client.get(url(bucket, "a", download=True))
    assert [name for name, *_ in heard] == ["uploaded", "downloaded", "downloaded"]


def test_what_sends_no_bytes_is_no_download(client: Any, bucket: Any, heard: Any) -> None:
    put(client, bucket, "a")
    etag = client.head(url(bucket, "a")).headers["ETag"]
    client.get(url(bucket, "a"), headers={"If-None-Match": etag})
    client.get(url(bucket, "a"), headers={"If-Match": '"other"'})
    client.get(url(bucket, "a"), headers={"Range": "bytes=1000-"})
    client.get(url(bucket, "b"))
    client.get(url(bucket))
    assert [name for name, *_ in heard] == ["uploaded"]


def test_what_fails_is_neither_uploaded_nor_deleted(client: Any, bucket: Any, heard: Any) -> None:
    client.put(url(bucket, "a"), data=CONTENT, headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    client.put(url(bucket, "a"), data=CONTENT, headers={"If-Match": "*"})
    client.delete(url(bucket, "a"))
    bucket.max_file_size = 1
    client.put(url(bucket, "a"), data=CONTENT)
    assert heard == []


def test_a_receiver_that_fails_neither_breaks_nor_undoes_anything(client: Any, bucket: Any, caplog: Any) -> None:
    def fail(sender: Any, obj: Any) -> None:
        raise RuntimeError("broken receiver")

    for signal in SIGNALS.values():
        signal.connect(fail)
    try:
        with caplog.at_level(logging.ERROR):
            version = put(client, bucket, "a")["version_id"]
            assert client.get(url(bucket, "a")).data == CONTENT
            assert client.delete(url(bucket, "a")).status_code == 204
            assert client.delete(url(bucket, "a", versionId=version)).status_code == 204
    finally:
        for signal in SIGNALS.values():
            signal.disconnect(fail)
    assert caplog.text.count("RuntimeError: broken receiver") == 4


def test_a_receiver_that_leaves_its_session_broken_does_no_harm(client: Any, bucket: Any) -> None:
    from invenio_db import db
    from sqlalchemy import text

    def fail(sender: Any, obj: Any) -> None:
        db.session.execute(text("SELECT no_such_column FROM files_bucket"))

    file_uploaded.connect(fail)
    file_downloaded.connect(fail)
    try:
        assert put(client, bucket, "a")["key"] == "a"
        assert client.get(url(bucket, "a")).data == CONTENT
    finally:
        file_uploaded.disconnect(fail)
        file_downloaded.disconnect(fail)


def test_a_receiver_as_the_documentation_shows_it_is_called(client: Any, bucket: Any, app: Any) -> None:
    calls: list[Any] = []

    def after_file_downloaded(event: Any, sender_app: Any, obj: Any = None, **kwargs: Any) -> None:
        calls.append((event, sender_app, obj.key, kwargs))

    file_downloaded.connect(after_file_downloaded)
    try:
        put(client, bucket, "a")
        client.get(url(bucket, "a"))
    finally:
        file_downloaded.disconnect(after_file_downloaded)
    assert calls == [(file_downloaded, app, "a", {})]
