"""What `files object` lists, shows, stores, reads and restores, says and exits with."""

from __future__ import annotations

import contextvars
import json
import os
import stat
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from helpers.stored import damage, received, store

from invenio_files_rest.models import Bucket, FileInstance, Location, ObjectVersion
from invenio_files_rest.services import reading
from invenio_files_rest.services.reading import list_objects
from invenio_files_rest.signals import file_uploaded
from invenio_files_rest.storage import PyFSFileStorage, pyfs_storage_factory

Run = Callable[..., Result]


@pytest.fixture
def run_with(base_app: Flask, db: SQLAlchemy) -> Callable[..., Result]:
    """Return a function that runs a command with standard input."""

    def run(text: bytes, *arguments: str) -> Result:
        db.session.commit()
        return contextvars.Context().run(base_app.test_cli_runner().invoke, args=list(arguments), input=text)

    return run


def lines_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def bytes_of(bucket: Bucket, key: str) -> bytes:
    with ObjectVersion.get(bucket, key).file.storage().open() as file:
        return file.read()


def stored_files(location: Location) -> list[Path]:
    return [path for path in Path(location.uri).rglob("*") if path.is_file()]


def test_list_gives_size_time_and_key_of_each_head(run: Run, bucket: Bucket):
    for key, content in (("b", b"1"), ("a", b"22"), ("a", b"x" * 2000), ("gone", b"1")):
        store(bucket, key, content)
    ObjectVersion.delete(bucket, "gone")
    header, first, second = run("files", "object", "list", str(bucket.id)).stdout.splitlines()
    assert header.split() == ["SIZE", "MODIFIED", "KEY"]
    assert (first.split()[:2], first.split()[-1]) == (["2.0", "KiB"], "a")
    assert (second.split()[:2], second.split()[-1]) == (["1", "B"], "b")
    assert header.index("KEY") == first.rindex("a") == second.rindex("b")


def test_list_of_versions_has_the_latest_first_and_says_what_is_deleted(run: Run, bucket: Bucket):
    earlier = store(bucket, "a").version_id
    marker = ObjectVersion.delete(bucket, "a").version_id
    lines = run("files", "object", "list", str(bucket.id), "--versions").stdout.splitlines()[1:]
    assert [line.split()[-3:] for line in lines] == [[str(marker), "deleted", "a"], [str(earlier), "earlier", "a"]]


def test_list_goes_on_page_by_page_through_prefixes_and_delimiters(
    run: Run, bucket: Bucket, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    keys = sorted(["a", "b/1", "b/2", "c", "d/1", "é", "Z"], key=str.encode)
    fill(keys, versions=2)
    monkeypatch.setattr(reading, "BATCH", 2)

    def listed(*arguments: str) -> list[str]:
        lines = lines_of(run("files", "object", "list", str(bucket.id), "--json", *arguments))
        return [line.get("key") or line["prefix"] for line in lines]

    assert listed() == keys
    assert listed("--versions") == [key for key in keys for _ in range(2)]
    assert listed("--delimiter", "/") == ["Z", "a", "b/", "c", "d/", "é"]
    assert listed("--prefix", "b/") == ["b/1", "b/2"]
    assert listed("--limit", "3") == keys[:3]
    assert listed("--limit", "3", "--start-after", keys[2]) == keys[3:6]
    assert listed("--limit", "0") == []


def test_list_escapes_what_would_command_a_terminal_or_break_a_line(
    run: Run, bucket: Bucket, fill: Callable[..., None]
):
    keys = ["new\nline", "\x1b[31mred", "日本", "-dash", " blank"]
    fill(keys)
    result = run("files", "object", "list", str(bucket.id))
    assert "\x1b" not in result.stdout
    assert {line[33:] for line in result.stdout.splitlines()[1:]} == {
        r"new\nline",
        r"\x1b[31mred",
        "日本",
        "-dash",
        " blank",
    }
    assert {line["key"] for line in lines_of(run("files", "object", "list", str(bucket.id), "--json"))} == set(keys)


@pytest.mark.slow
def test_memory_of_a_list_does_not_grow_with_the_bucket(bucket: Bucket, fill: Callable[..., None]):
    peaks = []
    for start, end in ((0, 3000), (3000, 15000)):
        fill(f"key-{number:06}" for number in range(start, end))
        tracemalloc.start()
        assert sum(1 for _ in list_objects(bucket.id)) == end
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_show_tells_of_the_file_and_the_tags(run: Run, bucket: Bucket):
    version = store(bucket, "a.txt", b"hello")
    run("files", "object", "tags", str(bucket.id), "a.txt", "b=2", "a=1")
    text = run("files", "object", "show", str(bucket.id), "a.txt").stdout
    assert "Size:     5 B\n" in text
    assert "Tags:     a=1, b=2\n" in text
    assert f"URI:      {version.file.uri}\n" in text
    (shown,) = lines_of(run("files", "object", "show", str(bucket.id), "a.txt", "--json"))
    assert (shown["file"]["checksum"], shown["tags"]) == (version.file.checksum, {"a": "1", "b": "2"})


def test_tags_of_an_earlier_version_are_changed_alone(run: Run, bucket: Bucket):
    earlier, latest = store(bucket, "a"), store(bucket, "a")
    result = run("files", "object", "tags", str(bucket.id), "a", "x=1", "--version", str(earlier.version_id))
    assert result.stdout == "TAG  VALUE\nx    1\n"
    run("files", "object", "tags", str(bucket.id), "a", "y=1")
    run("files", "object", "tags", str(bucket.id), "a", "z=1", "--remove", "y")
    assert (earlier.get_tags(), latest.get_tags()) == ({"x": "1"}, {"z": "1"})


def test_restore_makes_an_earlier_version_of_a_deleted_object_the_latest(run: Run, bucket: Bucket):
    earlier = store(bucket, "a", b"first")
    store(bucket, "a", b"second")
    ObjectVersion.delete(bucket, "a")
    with received(file_uploaded) as signals:
        result = run("files", "object", "restore", str(bucket.id), "a", str(earlier.version_id))
    head = ObjectVersion.get(bucket, "a")
    assert result.stdout == f"{bucket.id}:{head.version_id}:a\n"
    assert bytes_of(bucket, "a") == b"first"
    assert [obj.version_id for obj in signals] == [head.version_id]
    assert bucket.size == len(b"first" + b"second" + b"first")
    result = run("files", "object", "restore", str(bucket.id), "a", str(head.version_id))
    assert (result.exit_code, result.stderr) == (1, "Error: The version is the latest one.\n")


@pytest.mark.parametrize("arguments", [["show"], ["tags"], ["tags", "a=b"], ["get"]], ids=" ".join)
def test_what_is_not_there_is_told_in_one_line(run: Run, bucket: Bucket, arguments: list[str]):
    command, *rest = arguments
    for extra, reason in (([], "Object not found."), (["--version", str(uuid4())], "Version ")):
        result = run("files", "object", command, str(bucket.id), "a", *rest, *extra)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {reason}")
        assert result.stderr.count("\n") == 1
    result = run("files", "object", command, str(uuid4()), "a", *rest)
    assert (result.exit_code, result.stderr) == (1, "Error: Bucket does not exist.\n")


def test_get_writes_to_standard_output_to_a_file_and_into_a_folder(run: Run, bucket: Bucket, tmp_path: Path):
    earlier = store(bucket, "x/a.bin", b"\xff\x00earlier")
    store(bucket, "x/a.bin", b"\xff\x00latest")
    assert run("files", "object", "get", str(bucket.id), "x/a.bin").stdout_bytes == b"\xff\x00latest"
    assert run("files", "object", "get", str(bucket.id), "x/a.bin", "-").stdout_bytes == b"\xff\x00latest"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"before")
    assert run("files", "object", "get", str(bucket.id), "x/a.bin", str(folder)).exit_code == 0
    assert (folder / "a.bin").read_bytes() == b"\xff\x00latest"
    arguments = [str(folder / "b"), "--version", str(earlier.version_id)]
    assert run("files", "object", "get", str(bucket.id), "x/a.bin", *arguments).exit_code == 0
    assert (folder / "b").read_bytes() == b"\xff\x00earlier"
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "b"]
    umask = os.umask(0o22)
    os.umask(umask)
    assert stat.S_IMODE((folder / "b").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("content", [b"changed", b"short", None])
def test_get_of_a_damaged_file_leaves_what_was_there_and_nothing_else(
    run: Run, bucket: Bucket, tmp_path: Path, content: bytes | None
):
    version = store(bucket, "a", b"content")
    damage(version.file, content)
    target = tmp_path / "target"
    target.write_bytes(b"before")
    result = run("files", "object", "get", str(bucket.id), "a", str(target))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The file storage failed. The ")
    assert result.stderr.count("\n") == 1
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["target"]


def test_get_replaces_no_pipe_and_makes_no_folder(run: Run, bucket: Bucket, tmp_path: Path):
    store(bucket, "a", b"content")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    thread.start()
    assert run("files", "object", "get", str(bucket.id), "a", str(pipe)).exit_code == 0
    thread.join()
    assert read == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    result = run("files", "object", "get", str(bucket.id), "a", str(tmp_path / "no" / "file"))
    assert (result.exit_code, result.stderr) == (1, f"Error: There is no folder {tmp_path / 'no'}.\n")
    assert not (tmp_path / "no").exists()


def test_get_follows_a_file_that_is_migrated_meanwhile(
    app: Flask, run: Run, bucket: Bucket, db: SQLAlchemy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = store(bucket, "a", b"content").file
    file_id, moved = file.id, tmp_path / "moved"

    def factory(**kwargs: Any) -> PyFSFileStorage:
        """Migrate the file when its row has been read, before it is opened."""
        storage = pyfs_storage_factory(**kwargs)
        if not moved.exists():
            os.rename(FileInstance.get(file_id).uri, moved)
            FileInstance.get(file_id).uri = str(moved)
            db.session.commit()
        return storage

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "storage_factory", factory)
    assert run("files", "object", "get", str(bucket.id), "a").stdout_bytes == b"content"


def test_put_stores_a_file_or_standard_input_with_tags(
    run: Run, run_with: Callable[..., Result], bucket: Bucket, tmp_path: Path
):
    (tmp_path / "file").write_bytes(b"from a file")
    with received(file_uploaded) as signals:
        result = run("files", "object", "put", str(bucket.id), "a", str(tmp_path / "file"), "--tag", "t=1")
        run_with(b"from input", "files", "object", "put", str(bucket.id), "b")
    version = ObjectVersion.get(bucket, "a")
    assert result.stdout == f"{bucket.id}:{version.version_id}:a\n"
    assert (bytes_of(bucket, "a"), version.get_tags(), bytes_of(bucket, "b")) == (
        b"from a file",
        {"t": "1"},
        b"from input",
    )
    assert [obj.key for obj in signals] == ["a", "b"]
    assert bucket.size == 21


def test_put_holds_to_its_conditions_and_exits_with_3(run_with: Callable[..., Result], bucket: Bucket):
    put = ("files", "object", "put", str(bucket.id), "a")
    assert run_with(b"1", *put, "--if-absent").exit_code == 0
    for condition in (["--if-absent"], ["--if-match", "md5:0"]):
        result = run_with(b"2", *put, *condition)
        assert (result.exit_code, result.stderr) == (3, "Error: The condition does not hold. Nothing was changed.\n")
    assert bytes_of(bucket, "a") == b"1"
    checksum = ObjectVersion.get(bucket, "a").file.checksum
    assert run_with(b"2", *put, "--if-match", checksum).exit_code == 0
    assert ObjectVersion.query.count() == 2


def test_of_two_that_put_where_nothing_is_one_does(
    run_with: Callable[..., Result],
    bucket: Bucket,
    location: Location,
    db: SQLAlchemy,
    monkeypatch: pytest.MonkeyPatch,
):
    """The condition holds when the bytes are read, and not any more when they are recorded."""
    save = PyFSFileStorage.save

    def save_later(self: PyFSFileStorage, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(PyFSFileStorage, "save", save)
        store(bucket, "a", b"other")
        return save(self, *args, **kwargs)

    monkeypatch.setattr(PyFSFileStorage, "save", save_later)
    result = run_with(b"mine", "files", "object", "put", str(bucket.id), "a", "--if-absent")
    assert result.exit_code == 3
    db.session.rollback()
    assert bytes_of(bucket, "a") == b"other"
    assert len(stored_files(location)) == 1


@pytest.mark.parametrize(
    ("content", "columns", "reason"),
    [
        (b"12345", {"quota_size": 4}, "Bucket quota exceeded."),
        (b"12345", {"max_file_size": 4}, "Maximum file size exceeded."),
        (b"12345", {"locked": True}, "Bucket is locked for modifications."),
        (b"12345", {"deleted": True}, "Bucket does not exist."),
        (b"", {}, "The file is smaller than the minimum of 1 byte."),
    ],
    ids=["quota", "largest file", "locked", "deleted", "empty"],
)
@pytest.mark.parametrize("source", ["file", "input"])
def test_put_holds_to_the_limits_and_keeps_nothing(
    run_with: Callable[..., Result],
    bucket: Bucket,
    location: Location,
    tmp_path: Path,
    content: bytes,
    columns: dict[str, Any],
    reason: str,
    source: str,
):
    for name, value in columns.items():
        setattr(bucket, name, value)
    (tmp_path / "file").write_bytes(content)
    path = str(tmp_path / "file") if source == "file" else "-"
    result = run_with(content, "files", "object", "put", str(bucket.id), "a", path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {reason}")
    assert result.stderr.count("\n") == 1
    assert (bucket.size, ObjectVersion.query.count(), stored_files(location)) == (0, 0, [])


@pytest.mark.parametrize(
    ("key", "status"), [("", 2), (b"caf\xe9".decode("utf-8", "surrogateescape"), 2), ("x" * 256, 1), ("a/../b", 1)]
)
def test_keys_that_cannot_be_are_refused_in_words(
    run_with: Callable[..., Result], bucket: Bucket, location: Location, key: str, status: int
):
    result = run_with(b"1", "files", "object", "put", str(bucket.id), key)
    assert result.exit_code == status
    assert "Error: " in result.stderr.splitlines()[-1]
    assert stored_files(location) == []


def test_keys_may_begin_with_a_dash_and_have_any_characters(run: Run, run_with: Callable[..., Result], bucket: Bucket):
    for key in ("-dash", "--json", "日本 語", "new\nline", "a=b"):
        assert run_with(key.encode(), "files", "object", "put", "--", str(bucket.id), key).exit_code == 0
        assert run("files", "object", "get", "--", str(bucket.id), key).stdout_bytes == key.encode()


@pytest.mark.parametrize("source", ["missing", "."])
def test_put_of_what_is_no_file_says_so(run: Run, bucket: Bucket, source: str):
    result = run("files", "object", "put", str(bucket.id), "a", source)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
