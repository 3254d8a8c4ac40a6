"""The description of the API in OpenAPI is valid, and says what the API does.

That every answer of all tests is as it says is checked by the client that they share; see ``helpers/openapi.py``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers.openapi import Contract
from helpers.rest import put, url
from openapi_spec_validator import OpenAPIV31SpecValidator

import invenio_files_rest
from invenio_files_rest.http.arguments import ArgumentParser, declared_arguments, invalid_subresource_validator
from invenio_files_rest.models import Bucket
from invenio_files_rest.views.openapi import described

URL = "/files/openapi.json"
PACKAGE = Path(invenio_files_rest.__file__).parent

WITHOUT_BEING_DESCRIBED = {"access_token", "prettyprint"}
"""Query arguments that OAuth has, and that the description mentions for all."""


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    return dict(client.get(URL).json)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def test_the_description_is_valid(document: dict[str, Any]):
    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_and_method_is_described(app: Flask, document: dict[str, Any]):
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule).rstrip("/"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("invenio_files_rest.")
        for method in rule.methods or ()
    }
    described = {(path, method) for path, method, _ in operations(document)}
    automatic = {(path, "options") for path in ("/files", "/files/metrics", URL)}
    assert len(described) > 15
    assert served - automatic == described


def test_every_argument_that_is_declared_is_described(document: dict[str, Any]):
    described = {
        ("header" if parameter["in"] == "header" else "query", parameter["name"].lower())
        for _, _, operation in operations(document)
        for parameter in operation["parameters"]
    }
    fields = {
        name
        for _, _, operation in operations(document)
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for schema in (content.get("schema", {}), *content.get("schema", {}).get("anyOf", ()))
        for name in schema.get("properties", {})
    }
    found = 0
    for function in functions_of("views") | functions_of("http"):
        for declared in declared_arguments(function):
            for name, field in declared.fields.items():
                if invalid_subresource_validator in field.validators:
                    continue
                shown = field.data_key or name
                found += 1
                if declared.location in ("query", "query_or_json"):
                    assert ("query", shown.lower()) in described, (function, shown)
                elif declared.location == "headers":
                    assert shown in ("Content-Type", "Content-Length") or ("header", shown.lower()) in described
                else:
                    assert shown in fields, (function, shown)
    assert found > 30


def functions_of(room: str) -> set[Callable[..., Any]]:
    """Return the functions, and the methods of classes, of the modules of a room."""
    found = set()
    package = importlib.import_module(f"invenio_files_rest.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            members = vars(value).values() if inspect.isclass(value) and value is not ArgumentParser else ()
            found |= {one for one in (value, *members) if inspect.isfunction(one)}
    return found


def test_every_argument_and_header_that_the_code_looks_for_is_described(document: dict[str, Any]):
    known = {
        parameter["name"].lower() for _, _, operation in operations(document) for parameter in operation["parameters"]
    } | WITHOUT_BEING_DESCRIBED
    never = {"accept", "authorization", "content-type", "content-length", "forwarded", "transfer-encoding"}
    never |= {"origin", "sec-fetch-site", "x-forwarded-for"}
    assert "X-HTTP-Method-Override" in document["info"]["description"]
    never.add("x-http-method-override")
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in ("views", "http", "tus"):
            text = path.read_text()
            found |= set(re.findall(r'request\.(?:args|headers)(?:\.get\(|\[)"([\w-]+)"', text))
            found |= set(re.findall(r'"([\w-]+)" in request\.(?:args|headers)\b(?!\.)', text))
            found |= set(re.findall(r'fields\.(?:integer|boolean|whole_number)\("([\w-]+)"', text))
    assert len(found) > 15
    assert {name for name in found if name.lower() not in known | never} == set()


def test_every_argument_has_a_description(document: dict[str, Any]):
    for path, method, operation in operations(document):
        assert operation["summary"]
        for parameter in operation["parameters"]:
            assert parameter.get("description"), (path, method, parameter)


def test_every_use_says_what_it_does():
    for methods in described().values():
        for uses in methods.values():
            assert all(use.view.__doc__ for use in uses)


def test_anybody_may_have_the_description_and_caches_may_keep_it(client: FlaskClient):
    response = client.get(URL)
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.cache_control.public
    assert response.cache_control.max_age
    again = client.get(URL, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    assert not again.data
    assert client.head(URL).content_length == len(response.data)


def test_the_description_tells_nothing_of_the_installation(app: Flask, client: FlaskClient, location: Any):
    text = client.get(URL).text
    assert location.uri not in text
    assert app.instance_path not in text
    assert invenio_files_rest.__version__ not in text
    assert "localhost" not in text


def test_the_description_says_where_the_api_is(app: Flask, client: FlaskClient):
    assert client.get(URL).json["servers"] == [{"url": "/"}]
    assert client.get(URL, base_url="http://localhost/api").json["servers"] == [{"url": "/api"}]


def test_no_bucket_has_the_name_of_the_description(client: FlaskClient, allow_all: None):
    for method in ("POST", "PUT", "DELETE"):
        assert client.open(URL, method=method).status_code in (404, 405)
    assert client.get(f"{URL}/key").status_code == 404


@pytest.mark.parametrize("key", [None, "a"])
def test_what_there_is_is_told_without_a_body_that_would_have_a_type(
    client: FlaskClient, bucket: Bucket, allow_all: None, key: str | None
):
    told = client.options(url(bucket, key))
    other_way = client.get(url(bucket, uploadId=str(bucket.id)), headers={"X-HTTP-Method-Override": "OPTIONS"})
    for response in (told, other_way):
        assert response.status_code == 200
        assert "Content-Type" not in response.headers


def test_the_header_of_tags_has_the_name_that_the_settings_give_it(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
):
    from invenio_files_rest.http.openapi.document import make_document

    monkeypatch.setitem(app.config, "FILES_REST_FILE_TAGS_HEADER", "X-Tags")
    document = make_document(app, described())
    names = {p["name"] for p in document["paths"]["/files/{bucket_id}/{key}"]["put"]["parameters"]}
    assert "X-Tags" in names
    assert "X-Invenio-File-Tags" not in names


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda operation: operation["responses"].pop("200"), "200 is not described"),
        (lambda operation: operation["responses"]["200"]["headers"].pop("ETag"), "header ETag"),
        (lambda operation: operation["responses"]["200"]["content"].pop("application/json"), "type application/json"),
        (
            lambda operation: operation["responses"]["200"]["content"].update(
                {"application/json": {"schema": {"$ref": "#/components/schemas/Tags"}}}
            ),
            "Additional properties",
        ),
        (
            lambda operation: operation["parameters"].remove(
                next(p for p in operation["parameters"] if p["name"] == "If-None-Match")
            ),
            "request header if-none-match",
        ),
    ],
    ids=["status", "header", "type", "body", "request header"],
)
def test_the_client_of_the_tests_notices_what_is_not_described(
    app: Flask, client: FlaskClient, bucket: Bucket, allow_all: None, change: Callable[[Any], Any], complaint: str
):
    document = json.loads(client.get(URL).text)
    response = client.put(url(bucket, "a"), data=b"a", headers={"If-None-Match": "*"})
    assert Contract(app, json.loads(json.dumps(document))).complaints(response) == []
    change(document["paths"]["/files/{bucket_id}/{key}"]["put"])
    assert complaint in str(Contract(app, document).complaints(response))


def test_the_client_of_the_tests_checks_every_answer(
    app: Flask, client: FlaskClient, bucket: Bucket, allow_all: None, monkeypatch: pytest.MonkeyPatch
):
    put(client, bucket, "a")
    contract = Contract(app)
    contract.document["paths"]["/files/{bucket_id}/{key}"]["get"]["responses"].pop("200")
    monkeypatch.setattr("helpers.openapi._contracts", {app: contract})
    with pytest.raises(AssertionError, match="200 is not described"):
        client.get(url(bucket, "a"))
