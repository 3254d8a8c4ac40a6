"""What `files bucket list`, `show`, `create`, `lock`, `unlock`, `quota`, `tags` and `delete` do, say and exit with."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from helpers.stored import store

from invenio_files_rest.models import Bucket, BucketTag, FileInstance, Location, ObjectVersion
from invenio_files_rest.services import batches
from invenio_files_rest.services.buckets import tag_bucket

Run = Callable[..., Result]


def lines_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_create_makes_a_bucket_with_limits_and_tags(run: Run, location: Location):
    result = run("files", "bucket", "create", "--quota", "1.5K", "--max-file-size", "10", "--tag", "owner=Ann=1")
    bucket = Bucket.query.one()
    assert result.stdout == f"{bucket.id}\n"
    assert (bucket.quota_size, bucket.max_file_size, bucket.get_tags()) == (1536, 10, {"owner": "Ann=1"})


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--tag", "a="], 1, "Too long/short tag key or tag value."),
        (["--location", "nowhere"], 1, "Unknown location: nowhere"),
        (["--quota", "9000000T"], 1, "A size limit has 0 to"),
        (["--quota", "much"], 2, "A size is a number of bytes"),
        (["--quota", "-1"], 2, "A size is a number of bytes"),
        (["--tag", "a"], 2, "A tag is given as KEY=VALUE."),
        (["--tag", "a=1", "--tag", "a=2"], 2, "A tag is given twice."),
    ],
)
def test_create_refuses_in_one_line_and_makes_nothing(
    run: Run, location: Location, arguments: list[str], status: int, reason: str
):
    result = run("files", "bucket", "create", *arguments)
    assert result.exit_code == status
    assert reason in result.stderr.splitlines()[-1]
    assert Bucket.query.count() == 0


def test_list_aligns_and_tells_location_size_quota_and_state(run: Run, db: SQLAlchemy, bucket: Bucket):
    full = Bucket.create(quota_size=2048)
    store(full, "a", b"x" * 1536)
    full.locked = True
    header, first, second = run("files", "bucket", "list").stdout.splitlines()
    assert header.split() == ["BUCKET", "LOCATION", "SIZE", "QUOTA", "CREATED", "STATE"]
    assert first.split()[:5] == [str(bucket.id), "testloc", "0", "B", "-"]
    assert second.split()[:6] == [str(full.id), "testloc", "1.5", "KiB", "2.0", "KiB"]
    assert second.endswith("locked")
    end = header.index("QUOTA") + len("QUOTA")
    assert (first[end - 1 : end + 1], second[end - 3 : end + 1]) == ("- ", "KiB ")
    assert header.index("CREATED") == first.index(f"{bucket.created:%Y}") == second.index(f"{full.created:%Y}")


def test_list_leaves_out_deleted_buckets_unless_asked_and_takes_a_location(run: Run, db: SQLAlchemy, bucket: Bucket):
    db.session.add(Location(name="archive", uri="/archive"))
    archived, gone = Bucket.create("archive"), Bucket.create()
    gone.deleted = True
    db.session.commit()

    def listed(*arguments: str) -> set[str]:
        return {line["id"] for line in lines_of(run("files", "bucket", "list", "--json", *arguments))}

    assert listed() == {str(bucket.id), str(archived.id)}
    assert listed("--deleted") == {str(bucket.id), str(archived.id), str(gone.id)}
    assert listed("-l", "archive") == {str(archived.id)}
    result = run("files", "bucket", "list", "-l", "nowhere")
    assert (result.exit_code, result.stderr) == (1, "Error: Location nowhere not found.\n")


def test_list_reads_batch_by_batch(run: Run, db: SQLAlchemy, location: Location, monkeypatch: pytest.MonkeyPatch):
    made = [Bucket.create() for _ in range(7)]
    db.session.commit()
    monkeypatch.setattr(batches, "BATCH", 2)
    listed = [line["id"] for line in lines_of(run("files", "bucket", "list", "--json"))]
    assert listed == [str(bucket.id) for bucket in sorted(made, key=lambda one: (one.created, one.id))]


def test_list_of_nothing_prints_nothing(run: Run, location: Location):
    assert (run("files", "bucket", "list").exit_code, run("files", "bucket", "list").stdout) == (0, "")


def test_show_counts_objects_versions_and_uploads(
    run: Run, bucket: Bucket, begin_uploads: Callable[..., None], db: SQLAlchemy
):
    for key in ("a", "a", "b"):
        store(bucket, key)
    ObjectVersion.delete(bucket, "b")
    BucketTag.create(bucket, "owner", "Ann")
    begin_uploads(bucket, ["c"])
    (shown,) = lines_of(run("files", "bucket", "show", str(bucket.id), "--json"))
    assert (shown["objects"], shown["versions"], shown["uploads"], shown["tags"]) == (1, 4, 1, {"owner": "Ann"})
    text = run("files", "bucket", "show", str(bucket.id)).stdout
    assert "Tags:          owner=Ann\n" in text
    assert all(line[14] == " " and line[15:].strip() == line[15:] for line in text.splitlines())


def test_lock_and_unlock_change_what_can_be_stored(run: Run, bucket: Bucket):
    for command, locked in (("lock", True), ("lock", True), ("unlock", False)):
        result = run("files", "bucket", command, str(bucket.id))
        assert result.stdout == f"Bucket {bucket.id} is {command}ed.\n"
        assert bucket.locked is locked


def test_quota_sets_shows_and_lifts_limits(run: Run, bucket: Bucket):
    assert "Quota:        10.0 GiB (10737418240 B)\n" in run("files", "bucket", "quota", str(bucket.id), "10G").stdout
    run("files", "bucket", "quota", str(bucket.id), "--max-file-size", "5")
    assert (bucket.quota_size, bucket.max_file_size) == (10 * 1024**3, 5)
    (shown,) = lines_of(run("files", "bucket", "quota", str(bucket.id), "--json"))
    assert shown == {"id": str(bucket.id), "size": 0, "quota_size": 10 * 1024**3, "max_file_size": 5}
    run("files", "bucket", "quota", str(bucket.id), "none")
    assert (bucket.quota_size, bucket.max_file_size) == (None, 5)


def test_tags_are_set_removed_and_listed(run: Run, bucket: Bucket):
    run("files", "bucket", "tags", str(bucket.id), "a=1", "b=2")
    result = run("files", "bucket", "tags", str(bucket.id), "a=3", "--remove", "b", "--remove", "not there")
    assert result.stdout == "TAG  VALUE\na    3\n"
    assert lines_of(run("files", "bucket", "tags", str(bucket.id), "--json")) == [{"a": "3"}]


def test_tags_set_at_the_same_time_are_all_there(app: Flask, bucket: Bucket, db: SQLAlchemy):
    barrier, bucket_id = Barrier(4), bucket.id
    db.session.commit()

    def tag(number: int) -> None:
        with app.app_context():
            barrier.wait()
            tag_bucket(bucket_id, {f"t{number}": "x", "same": str(number)})

    threads = [Thread(target=contextvars.Context().run, args=(tag, number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(bucket.get_tags()) == {"t0", "t1", "t2", "t3", "same"}


def test_delete_asks_and_a_no_changes_nothing(base_app: Flask, bucket: Bucket, db: SQLAlchemy):
    db.session.commit()

    def answer(text: str) -> Result:
        arguments = ["files", "bucket", "delete", str(bucket.id)]
        return contextvars.Context().run(base_app.test_cli_runner().invoke, args=arguments, input=text)

    for text in ("n\n", "\n", ""):
        result = answer(text)
        assert result.exit_code == 1
        assert "Nothing was changed." in result.stderr
        db.session.rollback()
        assert not bucket.deleted
    assert answer("y\n").exit_code == 0
    db.session.rollback()
    assert bucket.deleted


def test_delete_with_yes_marks_and_keeps_all(run: Run, bucket: Bucket):
    store(bucket)
    assert run("files", "bucket", "delete", str(bucket.id), "--yes").stdout == f"Bucket {bucket.id} is deleted.\n"
    assert (bucket.deleted, ObjectVersion.query.count()) == (True, 1)
    again = run("files", "bucket", "delete", str(bucket.id), "--yes")
    assert (again.exit_code, again.stderr) == (1, "Error: Bucket does not exist.\n")


@pytest.mark.parametrize("marked", [False, True])
def test_delete_permanently_leaves_nothing_but_files_for_the_sweep(
    run: Run, bucket: Bucket, db: SQLAlchemy, marked: bool
):
    store(bucket)
    BucketTag.create(bucket, "a", "b")
    bucket.deleted = marked
    db.session.commit()
    bucket_id = bucket.id
    assert run("files", "bucket", "delete", str(bucket_id), "--permanently", "--yes").exit_code == 0
    db.session.expunge_all()
    assert (Bucket.query.count(), ObjectVersion.query.count(), BucketTag.query.count()) == (0, 0, 0)
    assert FileInstance.query_orphaned().count() == 1


@pytest.mark.parametrize(
    "arguments", [["delete", "--yes"], ["delete", "--permanently", "--yes"], ["tags", "a=b"]], ids=" ".join
)
def test_a_locked_bucket_is_left_as_it_is(run: Run, bucket: Bucket, db: SQLAlchemy, arguments: list[str]):
    bucket.locked = True
    db.session.commit()
    result = run("files", "bucket", arguments[0], str(bucket.id), *arguments[1:])
    assert (result.exit_code, result.stderr) == (1, "Error: Bucket is locked for modifications.\n")
    assert (Bucket.query.one().deleted, bucket.get_tags()) == (False, {})


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["lock"], ["unlock"], ["quota"], ["quota", "1G"], ["tags"], ["tags", "a=b"], ["delete", "--yes"]],
    ids=" ".join,
)
def test_an_unknown_bucket_is_told_in_one_line(run: Run, db: SQLAlchemy, arguments: list[str]):
    result = run("files", "bucket", arguments[0], str(uuid4()), *arguments[1:])
    assert (result.exit_code, result.stderr) == (1, "Error: Bucket does not exist.\n")
    result = run("files", "bucket", arguments[0], "no-uuid", *arguments[1:])
    assert result.exit_code == 2
    assert "A bucket is given by its identifier" in result.stderr
