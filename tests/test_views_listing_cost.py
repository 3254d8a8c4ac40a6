"""What a listing costs: what is not shown is not read, and what is shown fast is what marshmallow would show."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from helpers.rest import put, statements, url
from marshmallow import Schema, fields, missing, post_dump
from sqlalchemy import event

from invenio_files_rest.http import schemas
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, listing
from invenio_files_rest.models.listing import ListedObject, Listing
from invenio_files_rest.serializer import BaseSchema, MultipartObjectSchema, ObjectVersionSchema, json_serializer

pytestmark = pytest.mark.usefixtures("allow_all")

LAST = "\U0010ffff"


@contextmanager
def rows_found(db: Any) -> Iterator[list[int]]:
    """Collect how many rows each statement of a listing finds, whether they are fetched or not."""
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *args: Any) -> None:
        if "files_objecttags" in statement:
            sent.append((statement, parameters))

    found: list[int] = []
    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    for statement, parameters in sent:
        found.append(len(db.session.connection().exec_driver_sql(statement, parameters).all()))


@pytest.mark.parametrize(("query", "per_key"), [({}, 2), ({"versions": True}, 4)])
def test_the_database_finds_no_more_for_a_page_than_the_page_and_a_key(
    client: Any, bucket: Any, db: Any, fill: Any, query: dict[str, Any], per_key: int
) -> None:
    fill((f"{number:03}" for number in range(100)), versions=2, tags=2)
    path = url(bucket, **query, **{"max-keys": 10, "start-after": "020"})
    with rows_found(db) as found:
        page = client.get(path).json
    assert found == [11 * per_key]
    assert {item["key"] for item in page["contents"]} == {f"{number:03}" for number in range(21, 31)}


@pytest.mark.parametrize("versions", [False, True])
def test_sqlite_does_no_more_for_a_page_of_a_large_bucket(bucket: Any, db: Any, fill: Any, versions: bool) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("counts the instructions of SQLite")
    fill((f"{number:04}" for number in range(100)), versions=2, tags=2)
    few = instructions_for_a_page(db, bucket, versions)
    fill((f"{number:04}" for number in range(100, 2000)), versions=2, tags=2)
    assert instructions_for_a_page(db, bucket, versions) < 1.5 * few


def instructions_for_a_page(db: Any, bucket: Any, versions: bool) -> int:
    """Return how many instructions SQLite runs, in tens, to list ten keys."""
    connection = db.session.connection().connection.driver_connection
    done = []
    connection.set_progress_handler(lambda: done.append(1), 10)
    try:
        assert len({item.key for item in Listing(bucket.id, versions, start_after="0020", max_keys=10)}) == 10
    finally:
        connection.set_progress_handler(None, 0)
    return len(done)


def test_what_is_left_of_a_large_group_is_not_read(client: Any, bucket: Any, db: Any, fill: Any) -> None:
    fill((f"{group}/{number:04}" for group in "abcd" for number in range(1500)), versions=2, tags=2)
    path = url(bucket, delimiter="/")
    with rows_found(db) as found:
        assert client.get(path).json["common_prefixes"] == ["a/", "b/", "c/", "d/"]
    # The first has to find out that groups are large; the last finds that there is nothing more.
    assert found == [2000, 200, 200, 200, 0]


def test_small_groups_are_read_many_at_once(client: Any, bucket: Any, fill: Any) -> None:
    fill((f"{group:03}/{number}" for group in range(300) for number in range(3)), versions=2, tags=2)
    path = url(bucket, delimiter="/")
    with statements() as sent:
        assert len(client.get(path).json["common_prefixes"]) == 300
    assert len(sent) == 2


@pytest.mark.parametrize("size", [12, 40])
def test_small_groups_are_read_many_at_once_behind_a_large_one(client: Any, bucket: Any, fill: Any, size: int) -> None:
    fill((f"a/{number:04}" for number in range(1100)), versions=2, tags=2)
    fill((f"b{group:03}/{number:02}" for group in range(200) for number in range(size)), versions=2, tags=2)
    with statements() as sent:
        assert len(client.get(url(bucket, delimiter="/")).json["common_prefixes"]) == 201
    assert len(sent) <= 15


@pytest.mark.parametrize("versions", [False, True])
def test_a_listing_is_what_its_definition_says_however_it_is_read(
    bucket: Any, fill: Any, monkeypatch: pytest.MonkeyPatch, versions: bool
) -> None:
    monkeypatch.setattr(listing, "ROWS_AT_A_TIME", 4)
    monkeypatch.setattr(listing, "FEW_KEYS", 2)
    choose = random.Random(7)
    keys = {"".join(choose.choices(["a", "b", "/", LAST], k=choose.randint(1, 6))) for _ in range(120)}
    fill(keys, versions=2, tags=2)
    starts = ["", "a/", "b", f"{LAST}", f"a{LAST}", *choose.sample(sorted(keys), 4)]
    for prefix, delimiter, start, most in product(["", "a", LAST], ["", "/", LAST], starts, [None, 1, 3, 50]):
        expected: list[str] = []
        for key in sorted(keys):
            head, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            entry = prefix + head + found if found else key
            skipped = start if start == _group(start, prefix, delimiter) else None
            if key.startswith(prefix) and key > start and entry not in (skipped, *expected[-1:]):
                expected.append(entry)
        entries = Listing(bucket.id, versions, prefix, delimiter, start, most)
        objects = list(entries)
        shown = sorted({item.key for item in objects} | set(entries.common_prefixes))
        assert shown == expected[:most], (prefix, delimiter, start, most)
        assert entries.next_start_after == (expected[most - 1] if most and len(expected) > most else None)
        assert len(objects) == len({item.key for item in objects}) * (1 + versions)
        assert all(item.tags == {"t0": item.key, "t1": item.key} for item in objects)


def _group(key: str, prefix: str, delimiter: str) -> str | None:
    head, found, _ = key[len(prefix) :].partition(delimiter or "\0")
    return prefix + head + found if found and key.startswith(prefix) else None


def dumped(schema: Schema, obj: Any) -> str:
    """Return what marshmallow itself dumps, as text, for the order counts too.

    It does so where a schema gets attributes in its own way.
    """

    class OfMarshmallow(type(schema)):  # type: ignore[misc]
        def get_attribute(self, *args: Any) -> Any:
            return super().get_attribute(*args)

    return json.dumps(OfMarshmallow().dump(obj))


def test_objects_are_shown_as_marshmallow_shows_them_without_its_detours(
    app: Any, client: Any, bucket: Any, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, bucket, "é/b c?#%.txt", headers={"X-Invenio-File-Tags": "lang=fr"})
    put(client, bucket, "é/b c?#%.txt")
    put(client, bucket, "gone")
    client.delete(url(bucket, "gone"))
    MultipartObject.create(bucket, "upload", 10 * 1024**2, 5 * 1024**2)
    db.session.commit()
    listed = list(Listing(bucket.id, versions=True))
    assert [(item.is_head, item.deleted) for item in listed].count((True, True)) == 1
    detours = []
    get_attribute = BaseSchema.get_attribute

    def note(self: Schema, obj: Any, attr: str, default: Any) -> Any:
        detours.append(type(self))
        return get_attribute(self, obj, attr, default)

    monkeypatch.setattr(BaseSchema, "get_attribute", note)
    with app.test_request_context():
        for model in (Bucket, ObjectVersion, MultipartObject):
            schema = schemas.serializer_mapping[model]()
            for obj in [*model.query, *(listed if model is ObjectVersion else [])]:
                detours.clear()
                shown = json.dumps(schema.dump(obj))
                # What an object does not have is for marshmallow to find out.
                assert bool(detours) is (isinstance(obj, ObjectVersion | ListedObject) and obj.file is None)
                assert shown == dumped(schema, obj)
                assert detours


class Louder(fields.String):
    """A field that has its own way to serialize."""

    def serialize(self, *args: Any, **kwargs: Any) -> Any:
        """Return it in capitals."""
        return super().serialize(*args, **kwargs).upper()


class WithField(ObjectVersionSchema):
    """A schema of another package with fields of its own."""

    key = Louder()
    size = fields.String(attribute="file.size")
    twice = fields.Function(lambda obj: obj.key * 2)
    named = fields.Constant(1, data_key="other name")


class WithGaps(ObjectVersionSchema):
    """A schema of another package with fields that objects do not have."""

    lacking = fields.String()
    default = fields.String(dump_default="yes")


class WithFunction(ObjectVersionSchema):
    """A schema of another package with a field that some objects do not have."""

    lacking = fields.Function(lambda obj: missing)


class WithHook(ObjectVersionSchema):
    """A schema of another package that changes what is shown."""

    @post_dump
    def shorten(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Show the key alone."""
        return {"just": data["key"]}


class WithAccess(ObjectVersionSchema):
    """A schema of another package that gets attributes in its own way."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Hide checksums."""
        return None if attr == "file.checksum" else super().get_attribute(obj, attr, default)


class OfItsOwn(Schema):
    """A schema of another package that has nothing of ours."""

    key = fields.String()
    when = fields.DateTime(attribute="created", format="timestamp")


@pytest.mark.parametrize(
    ("schema", "facts"),
    [
        (WithField, {"key": "A", "size": "22", "twice": "aa", "other name": 1, "checksum": ...}),
        (WithGaps, {"key": "a", "default": "yes"}),
        (WithFunction, {"key": "a"}),
        (WithHook, {"just": "a"}),
        (WithAccess, {"key": "a", "checksum": None}),
        (OfItsOwn, {"key": "a", "when": ...}),
    ],
)
@pytest.mark.parametrize("query", ["", "?prettyprint=1"])
def test_the_schemas_of_other_packages_are_used(
    app: Any, client: Any, bucket: Any, schema: type[Schema], facts: dict[str, Any], query: str
) -> None:
    put(client, bucket, "a")
    mapping = {**schemas.serializer_mapping, ObjectVersion: schema}
    context = {"class": ObjectVersion, "bucket": bucket, "many": True}
    with (
        app.test_request_context(f"/{query}"),
        json_serializer(Listing(bucket.id), context=context, serializer_mapping=mapping) as response,
    ):
        [shown] = json.loads(response.get_data())["contents"]
        hook = schema is WithHook
        assert hook or json.dumps(shown) == dumped(schema(), ObjectVersion.query.one())
    assert "lacking" not in shown
    for name, value in facts.items():
        assert name in shown
        assert value is ... or shown[name] == value


@pytest.mark.parametrize("number", [0, 1, 250])
def test_uploads_are_streamed_as_the_array_that_they_are(
    app: Any, client: Any, bucket: Any, begin_uploads: Any, number: int
) -> None:
    begin_uploads(bucket, (f"é {place}" for place in range(number)))
    paths = url(bucket, uploads=True), url(bucket, uploads=True, prettyprint=1)
    with statements() as sent:
        plain = client.get(paths[0])
    assert len(sent) == 2
    assert plain.mimetype == "application/json"
    assert plain.content_length == len(plain.data)
    with app.test_request_context():
        every = MultipartObject.query_by_bucket(bucket).all()
        expected = {item["id"]: item for item in MultipartObjectSchema().dump(every, many=True)}
    assert len(plain.json) == number
    assert {item["id"]: item for item in plain.json} == expected
    assert plain.text == json.dumps(plain.json, separators=(",", ":"))
    assert client.get(paths[1]).text == json.dumps(plain.json, indent=2) + "\n"
