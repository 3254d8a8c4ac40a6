"""Two writers of one record: neither loses what the other did to its files."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from invenio_db import db
from sqlalchemy.orm.exc import StaleDataError

from invenio_records_files.api import Record
from invenio_records_files.merging import merge_files

Change = Callable[[Record], None]


def elsewhere(app: Flask, id_: UUID, change: Change) -> None:
    """Change a record as another process does: in a session of its own, and committed."""

    def run() -> None:
        with app.app_context():
            record = Record.get_record(id_)
            change(record)
            record.commit()
            db.session.commit()

    contextvars.Context().run(run)


def listed(id_: UUID) -> dict[str, Any]:
    """Return the metadata of each file in ``_files``, in order, checked against the bucket."""
    db.session.expire_all()
    record = Record.get_record(id_)
    assert record.get("_files", []) == record.files.dumps()
    facts = record.files.dumps()[0].keys() & {"bucket", "checksum", "file_id", "key", "size", "version_id"}
    return {entry["key"]: {k: v for k, v in entry.items() if k not in facts} for entry in record["_files"]}


def store(key: str, **metadata: Any) -> Change:
    def change(record: Record) -> None:
        record.files[key] = BytesIO(key.encode())
        for name, value in metadata.items():
            record.files[key][name] = value

    return change


def describe(key: str, **metadata: Any) -> Change:
    def change(record: Record) -> None:
        for name, value in metadata.items():
            record.files[key][name] = value

    return change


def remove(key: str) -> Change:
    def change(record: Record) -> None:
        del record.files[key]

    return change


def rename(old: str, new: str) -> Change:
    return lambda record: record.files.rename(old, new)


def sort(*keys: str) -> Change:
    return lambda record: record.files.sort_by(*keys)


CASES = {
    "each stores a file": (store("c", n=1), store("d", n=2), {"b": {"l": "en"}, "a": {}, "c": {"n": 1}, "d": {"n": 2}}),
    "each describes another file": (describe("a", n=1), describe("b", n=2), {"b": {"l": "en", "n": 2}, "a": {"n": 1}}),
    "each describes the same file": (describe("a", n=1), describe("a", m=2), {"b": {"l": "en"}, "a": {"n": 1, "m": 2}}),
    "both say the same thing": (describe("a", n=1), describe("a", n=2), {"b": {"l": "en"}, "a": {"n": 2}}),
    "one removes what the other leaves": (remove("a"), store("c"), {"b": {"l": "en"}, "c": {}}),
    "one stores what the other leaves": (store("c", n=1), remove("a"), {"b": {"l": "en"}, "c": {"n": 1}}),
    "both store the same key": (store("c", n=1), store("c", m=2), {"b": {"l": "en"}, "a": {}, "c": {"n": 1, "m": 2}}),
    "one stores again what the other removed": (remove("a"), store("a", n=1), {"b": {"l": "en"}, "a": {"n": 1}}),
    "one removes what the other stored again": (store("a", n=1), remove("a"), {"b": {"l": "en"}}),
    "one renames, the other describes": (rename("b", "x"), describe("a", n=1), {"x": {"l": "en"}, "a": {"n": 1}}),
    "one describes, the other renames": (describe("b", n=1), rename("a", "x"), {"b": {"l": "en", "n": 1}, "x": {}}),
    "one sorts, the other describes": (sort("a", "b"), describe("a", n=1), {"a": {"n": 1}, "b": {"l": "en"}}),
    "one describes, the other sorts": (describe("a", n=1), sort("a", "b"), {"a": {"n": 1}, "b": {"l": "en"}}),
    "only the first changes files": (store("c", n=1), lambda record: None, {"b": {"l": "en"}, "a": {}, "c": {"n": 1}}),
}


@pytest.fixture
def files(record: Record) -> UUID:
    """Store two files, and give the record's identifier."""
    record.files["b"] = BytesIO(b"b")
    record.files["a"] = BytesIO(b"a")
    record.files["b"]["l"] = "en"
    record.commit()
    db.session.commit()
    id_ = record.id
    db.session.remove()
    return id_


@pytest.mark.parametrize("when", ["between reading and changing", "in a session that goes on"])
@pytest.mark.parametrize(("first", "second", "expected"), CASES.values(), ids=CASES)
def test_what_both_did_to_files_stays(
    app: Flask, files: UUID, first: Change, second: Change, expected: dict[str, Any], when: str
):
    record = Record.get_record(files)
    if when == "in a session that goes on":
        # What the session knows of the row is forgotten, and the record still as it was read.
        db.session.commit()
    elsewhere(app, files, first)
    second(record)
    record["title"] = "New title"
    record.commit()
    db.session.commit()
    assert listed(files) == expected
    assert list(listed(files)) == list(expected)
    assert Record.get_record(files)["title"] == "New title"


def test_a_file_that_somebody_else_added_can_be_removed(app: Flask, files: UUID):
    record = Record.get_record(files)
    elsewhere(app, files, store("c", n=1))
    db.session.commit()
    remove("c")(record)
    record.commit()
    db.session.commit()
    assert listed(files) == {"b": {"l": "en"}, "a": {}}


def test_metadata_of_a_file_that_somebody_else_removed_are_gone_with_it(app: Flask, files: UUID):
    record = Record.get_record(files)
    file = record.files["a"]
    elsewhere(app, files, remove("a"))
    file["n"] = 1
    record.commit()
    db.session.commit()
    assert listed(files) == {"b": {"l": "en"}}


def test_metadata_that_somebody_holds_are_written_after_a_merge(app: Flask, files: UUID):
    record = Record.get_record(files)
    file = record.files["a"]
    elsewhere(app, files, describe("a", n=1))
    record.commit()
    file["m"] = 2
    record.commit()
    db.session.commit()
    assert listed(files) == {"b": {"l": "en"}, "a": {"n": 1, "m": 2}}


def test_another_change_by_somebody_else_is_an_error(app: Flask, files: UUID):
    record = Record.get_record(files)
    elsewhere(app, files, lambda other: other.update(title="Theirs"))
    store("c")(record)
    with pytest.raises(StaleDataError):
        record.commit()
    db.session.rollback()
    assert (Record.get_record(files)["title"], list(listed(files))) == ("Theirs", ["b", "a"])


@pytest.mark.parametrize("force", [False, True])
def test_a_record_that_somebody_else_deleted_is_not_written(app: Flask, files: UUID, force: bool):
    record = Record.get_record(files)

    def delete() -> None:
        with app.app_context():
            Record.get_record(files).delete(force=force)
            db.session.commit()

    contextvars.Context().run(delete)
    record["title"] = "Mine"
    with pytest.raises(StaleDataError):
        record.commit()
    db.session.rollback()


def test_a_record_can_be_committed_again_after_a_rollback(files: UUID):
    record = Record.get_record(files)
    store("c")(record)
    record.commit()
    db.session.rollback()
    store("d")(record)
    record.commit()
    db.session.commit()
    assert list(listed(files)) == ["b", "a", "d"]


def test_many_writers_at_once_lose_nothing_and_none_fails(base_app: Flask, files: UUID):
    writers = 8
    barrier = threading.Barrier(writers)
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with base_app.app_context():
                record = Record.get_record(files)
                barrier.wait(30)
                store(f"file {number}", number=number)(record)
                record.commit()
                db.session.commit()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    expected = {f"file {number}": {"number": number} for number in range(writers)}
    assert listed(files) == {"b": {"l": "en"}, "a": {}} | expected


def test_values_that_one_removed_are_gone():
    base = [{"key": "a", "n": 1, "m": 1}]
    assert merge_files(base, [{"key": "a", "n": 1, "m": 2}], [{"key": "a", "m": 1}]) == [{"key": "a", "m": 2}]


def test_a_list_without_keys_is_nothing_to_merge():
    assert merge_files([{}], [{}], [{"key": "a"}]) == [{"key": "a"}]
