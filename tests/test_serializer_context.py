"""What packages that were made for 6.1 ask of the serializer: the context, dictionaries, many, and waiting."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.rest import put, url
from marshmallow import fields
from marshmallow_utils.context import context_schema

from invenio_files_rest.models import MultipartObject, ObjectVersion
from invenio_files_rest.serializer import (
    BaseSchema,
    BucketSchema,
    MultipartObjectSchema,
    ObjectVersionSchema,
    PartSchema,
    json_serializer,
    serializer_mapping,
)

pytestmark = pytest.mark.usefixtures("allow_all")


@pytest.fixture
def obj(client: Any, bucket: Any) -> ObjectVersion:
    """Store an object."""
    put(client, bucket, "a.txt", b"a")
    return ObjectVersion.query.one()


@pytest.fixture
def upload(bucket: Any, db: Any, small_parts: None) -> MultipartObject:
    """Begin an upload."""
    upload = MultipartObject.create(bucket, "parts", 6, 4)
    db.session.commit()
    return upload


@pytest.fixture(autouse=True)
def in_request(app: Any) -> Any:
    """Push a request."""
    with app.test_request_context():
        yield


class Named(BaseSchema):
    """A schema without links."""

    name = fields.String()
    size = fields.Integer(attribute="file.size")


class InContext(ObjectVersionSchema):
    """A schema whose links are what it finds in the context."""

    def dump_links(self, obj: Any) -> dict[str, Any]:
        """Show the context."""
        context = context_schema.get()
        return {name: str(context[name]) for name in ("view_name", "bucket", "mine") if name in context}


def test_a_schema_without_links_shows_none():
    assert "links" not in Named().dump(SimpleNamespace(name="x"))


@pytest.mark.parametrize("file", [{"size": 3}, SimpleNamespace(size=3)])
@pytest.mark.parametrize("of", [dict, SimpleNamespace])
def test_dictionaries_are_shown_as_objects_are(of: Any, file: Any):
    created = datetime(2020, 1, 1, tzinfo=timezone.utc)
    shown = Named().dump(of(name="x", file=file, created=created))
    assert shown == {"name": "x", "size": 3, "created": "2020-01-01T00:00:00+00:00"}
    assert PartSchema().dump({"part_number": 2, "checksum": "md5:1"}) == {"part_number": 2, "checksum": "md5:1"}


def test_the_context_has_the_name_of_the_view_and_what_it_was_given(obj: ObjectVersion, bucket: Any):
    mapping = {ObjectVersion: InContext}
    context = {"class": ObjectVersion, "bucket": bucket, "mine": 1}
    one = json_serializer(obj, context=context, serializer_mapping=mapping, view_name="a_view").json
    assert one["links"] == {"view_name": "a_view", "bucket": str(bucket), "mine": "1"}
    many = json_serializer([obj], context={**context, "many": True}, serializer_mapping=mapping).json
    assert many["contents"][0]["links"] == {"bucket": str(bucket), "mine": "1"}
    assert context_schema.get(None) is None


def test_a_schema_takes_the_context_itself(obj: ObjectVersion):
    assert InContext().dump(obj, context={"mine": 2})["links"] == {"mine": "2"}


def test_the_positions_of_arguments_are_those_of_6_1(obj: ObjectVersion):
    answer = json_serializer(obj, 201, {"X-A": "b"}, {"class": ObjectVersion}, "tag", None, {ObjectVersion: InContext})
    assert (answer.status_code, answer.headers["X-A"], answer.get_etag()) == (201, "b", ("tag", False))
    assert answer.json["links"] == {}


def test_one_object_is_shown_alone_whatever_bucket_the_context_has(obj: ObjectVersion, bucket: Any):
    context = {"class": ObjectVersion, "bucket": bucket}
    assert json_serializer(obj, context=context).json == json_serializer(obj, context={"class": ObjectVersion}).json


def test_the_bucket_of_the_context_need_not_be_a_model(obj: ObjectVersion, bucket: Any):
    context = {"class": ObjectVersion, "many": True}
    contents = json_serializer([obj], context=context).json
    assert [entry["key"] for entry in contents["contents"]] == ["a.txt"]
    assert list(contents) == ["contents"]
    like = SimpleNamespace(id=bucket.id, size=7)
    shown = json_serializer([obj], context={**context, "bucket": like}).json
    assert shown == {**contents, "id": str(bucket.id), "size": 7, "links": BucketSchema().dump(bucket)["links"]}
    assert json_serializer([obj], context={**context, "bucket": None}).json == contents


def test_what_a_mapping_lacks_is_shown_as_ever(obj: ObjectVersion, bucket: Any, upload: MultipartObject):
    mapping = {ObjectVersion: InContext}
    context: dict[str, Any] = {"class": MultipartObject, "bucket": bucket, "many": True}
    assert json_serializer([upload], context=context, serializer_mapping=mapping).json == [json_serializer(upload).json]
    context = {"class": ObjectVersion, "bucket": bucket, "many": True}
    assert json_serializer([obj], context=context, serializer_mapping=mapping).json["id"] == str(bucket.id)


def test_what_has_no_schema_is_shown_by_its_time_stamps():
    assert json_serializer(SimpleNamespace(key="a", created=datetime(2020, 1, 1))).json == {
        "created": "2020-01-01T00:00:00"
    }
    # So did the views of 6.1 answer that there is nothing.
    assert json_serializer("", 204).status_code == 204


def test_schemas_show_many_as_6_1_does(obj: ObjectVersion, bucket: Any, upload: MultipartObject):
    part = SimpleNamespace(part_number=0, checksum="md5:1")
    objects = ObjectVersionSchema(many=True)
    assert objects.dump([obj]) == {"contents": [ObjectVersionSchema().dump(obj)]}
    assert objects.dump([obj], context={"bucket": bucket})["id"] == str(bucket.id)
    parts = PartSchema(many=True)
    assert [entry["part_number"] for entry in parts.dump([part])["parts"]] == [0]
    shown = parts.dump([part], context={"multipart": upload})
    assert {**shown, "parts": ...} == {"parts": ..., **MultipartObjectSchema().dump(upload)}
    assert MultipartObjectSchema(many=True).dump([upload]) == [MultipartObjectSchema().dump(upload)]


def test_the_link_of_a_version_is_in_an_upload_that_becomes_it(upload: MultipartObject):
    links = json_serializer(upload, context={"class": MultipartObject, "object_version_id": "v"}).json["links"]
    assert links["object_version"] == f"{links['object']}?versionId=v"
    assert "object_version" not in json_serializer(upload).json["links"]


class Result:
    """The result of a task that is done after some questions."""

    result = None

    def __init__(self, questions: int, succeeds: bool = True) -> None:
        """Begin."""
        self.questions = questions
        self.succeeds = succeeds

    def ready(self) -> bool:
        """Tell whether it is done."""
        self.questions -= 1
        return self.questions <= 0

    def successful(self) -> bool:
        """Tell whether it succeeded."""
        return self.succeeds


@pytest.mark.parametrize(
    ("result", "status"), [(Result(3), None), (Result(1, succeeds=False), 500), (Result(1000), 504)]
)
def test_a_response_waits_for_a_task(
    app: Any, upload: MultipartObject, monkeypatch: Any, result: Result, status: int | None
):
    monkeypatch.setitem(app.config, "FILES_REST_TASK_WAIT_INTERVAL", 0.01)
    monkeypatch.setitem(app.config, "FILES_REST_TASK_WAIT_MAX_SECONDS", 0.2)
    expected = json_serializer(upload).json
    answer = json_serializer(upload, 201, {"X-A": "b"}, {"class": MultipartObject}, "tag", result)
    assert (answer.status_code, answer.headers["X-A"], answer.get_etag()) == (201, "b", ("tag", False))
    assert "Content-Length" not in answer.headers
    body = b"".join(answer.iter_encoded())
    assert body.startswith(b" ")
    shown = json.loads(body)
    assert shown == expected if status is None else (shown["status"] == status and set(shown) == {"status", "message"})


def test_the_views_show_what_a_serializer_of_6_1_asks_for(client: Any, bucket: Any, monkeypatch: Any):
    """A schema finds the bucket in the context of each answer about an object."""

    class WithBucket(ObjectVersionSchema):
        found = fields.Function(lambda obj: str(context_schema.get()["bucket"].id))

    monkeypatch.setitem(serializer_mapping, ObjectVersion, WithBucket)
    assert put(client, bucket, "a")["found"] == str(bucket.id)
    assert client.get(url(bucket)).json["contents"][0]["found"] == str(bucket.id)
