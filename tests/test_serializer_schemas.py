"""Schemas of other packages: each sees its own request, and shows many together where it wants to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import request
from helpers.rest import put, url
from marshmallow import fields, post_dump

from invenio_files_rest.http import schemas
from invenio_files_rest.models import MultipartObject, ObjectVersion
from invenio_files_rest.serializer import MultipartObjectSchema, ObjectVersionSchema, json_serializer

pytestmark = pytest.mark.usefixtures("allow_all")


class OfTheRequest(ObjectVersionSchema):
    """A schema that shows what the request asks for."""

    def __init__(self, **kwargs: Any) -> None:
        """Look at the request."""
        super().__init__(exclude=() if "full" in request.args else ("checksum",), **kwargs)


class Envelope(MultipartObjectSchema):
    """A schema that shows many uploads in one object."""

    @post_dump(pass_many=True, pass_original=True)
    def wrap(self, data: Any, original: Any, many: bool, **kwargs: Any) -> Any:
        """Wrap them."""
        return {"uploads": data, "number": len(original)} if many else data


class Curious(MultipartObjectSchema):
    """A schema that reads more of each upload from the database."""

    storage_class = fields.String(attribute="file.storage_class")


class CuriousObject(ObjectVersionSchema):
    """A schema that counts the versions of each object in the database, and gives all a number."""

    versions = fields.Function(lambda obj: ObjectVersion.get_versions(obj.bucket_id, obj.key).count())

    @post_dump(pass_many=True)
    def number(self, data: Any, many: bool, **kwargs: Any) -> Any:
        """Give each object its number."""
        return [item | {"number": number} for number, item in enumerate(data)] if many else data


@pytest.fixture
def uploads(bucket: Any, begin_uploads: Any) -> int:
    """Begin uploads, more than are read at a time."""
    begin_uploads(bucket, map(str, range(1500)))
    return 1500


def test_a_schema_is_made_for_each_request(app: Any, client: Any, bucket: Any) -> None:
    put(client, bucket, "key")
    mapping = {**schemas.serializer_mapping, ObjectVersion: OfTheRequest}
    shown = []
    for query in ("full", ""):
        with app.test_request_context(f"/?{query}"):
            shown.append("checksum" in json_serializer(ObjectVersion.query.one(), serializer_mapping=mapping).json)
    assert shown == [True, False]


@pytest.mark.usefixtures("uploads")
def test_a_schema_may_show_many_together(app: Any, bucket: Any) -> None:
    mapping = {**schemas.serializer_mapping, MultipartObject: Envelope}
    context = {"class": MultipartObject, "many": True}
    with app.test_request_context():
        for data in (MultipartObject.query_by_bucket(bucket), iter(MultipartObject.query_by_bucket(bucket).all())):
            shown = json_serializer(data, context=context, serializer_mapping=mapping).json
            assert (list(shown), shown["number"]) == (["uploads", "number"], 1500)
            assert len(shown["uploads"]) == 1500


def test_uploads_are_all_shown_where_a_schema_asks_the_database_for_more(
    client: Any, bucket: Any, uploads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schemas.serializer_mapping, MultipartObject, Curious)
    # As if it asked for nothing more, so that uploads are streamed.
    monkeypatch.setattr(Curious, "one_by_one", True)
    found = json.loads(client.get(url(bucket, uploads=True)).data)
    assert len({item["id"] for item in found}) == len(found) == uploads
    assert {item["storage_class"] for item in found} == {"S"}


def test_objects_are_all_shown_where_a_schema_asks_the_database_for_more(
    client: Any, bucket: Any, fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill((str(number) for number in range(2500)), versions=2)
    monkeypatch.setitem(schemas.serializer_mapping, ObjectVersion, CuriousObject)
    found = client.get(url(bucket)).json["contents"]
    assert len({item["key"] for item in found}) == len(found) == 2500
    assert {item["versions"] for item in found} == {2}
    assert [item["number"] for item in found] == list(range(2500))


class Counted(ObjectVersionSchema):
    """A schema that shows how many objects there are."""

    @post_dump(pass_many=True)
    def count(self, data: Any, many: bool, **kwargs: Any) -> Any:
        """Count them."""
        return {"count": len(data), "keys": [item["key"] for item in data]} if many else data


@pytest.mark.parametrize("query", [{}, {"prettyprint": 1}])
def test_a_schema_may_show_the_objects_of_a_bucket_together(
    client: Any, bucket: Any, fill: Any, monkeypatch: pytest.MonkeyPatch, query: dict[str, Any]
) -> None:
    fill("ab")
    monkeypatch.setitem(schemas.serializer_mapping, ObjectVersion, Counted)
    response = client.get(url(bucket, **query))
    assert response.json["contents"] == {"count": 2, "keys": ["a", "b"]}
    assert response.json["id"] == str(bucket.id)
    if query:
        assert response.text == json.dumps(response.json, indent=2) + "\n"
