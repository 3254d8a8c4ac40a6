"""Whether an answer is as the description of the API says: its status, its headers, its type, its body."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hypothesis import currently_in_test_context
from jsonschema import Draft202012Validator
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

GENERAL = {
    *("connection", "content-length", "content-type", "date", "server", "set-cookie"),
    # Of the application that the files are in.
    *("access-control-allow-origin", "access-control-expose-headers", "referrer-policy", "strict-transport-security"),
    *("x-request-id", "x-session-id", "x-user-id"),
    # The web server in front takes them out.
    *("x-accel-redirect", "x-sendfile"),
}
"""Headers of answers that HTTP, the application or the web server has of its own."""

_LARGEST = 100_000
"""Size of the largest body that is looked into, in bytes."""


class Contract:
    """What the description says.

    :param app: The application.
    :param document: The description; by default that of the application.
    """

    def __init__(self, app: Flask, document: dict[str, Any] | None = None) -> None:
        from invenio_files_rest.http.openapi.document import described_rules, make_document
        from invenio_files_rest.http.openapi.headers import ASKED
        from invenio_files_rest.views.openapi import described

        self.app = app
        self.document = make_document(app, described()) if document is None else document
        self.paths = {rule.endpoint: path for path, rule, _ in described_rules(app, described())}
        self.asked = {name.lower() for name in ASKED}
        self._components = _closed(deepcopy(self.document["components"]))
        self._validators: dict[str, Draft202012Validator] = {}

    def complaints(self, response: TestResponse) -> list[str]:
        """Return what of an answer is not as the description says.

        :param response: The answer.
        """
        request = response.request
        path = self._path(request.environ)
        if path is None:
            return []
        method = request.headers.get("X-HTTP-Method-Override", request.method).lower()
        operation = self.document["paths"][path].get(method)
        if operation is None:
            # What OPTIONS is answered without our doing.
            expected = {405, 404} | ({200} if method == "options" else set())
            return [] if response.status_code in expected else [f"There is no {method} of {path}."]
        described = operation["responses"].get(str(response.status_code))
        if described is None:
            return [f"{method} {path}: {response.status_code} is not described: {response.text[:200]}"]
        return [
            f"{method} {path}, {response.status_code}: {text}"
            for text in (
                *self._of_headers(response, self._resolved(described)),
                *self._of_body(response, self._resolved(described), method),
                *(self._of_request(request, operation) if response.status_code < 300 else ()),
            )
        ]

    def _path(self, environ: dict[str, Any]) -> str | None:
        adapter = self.app.url_map.bind_to_environ(environ)
        for method in (environ["REQUEST_METHOD"], "GET"):
            try:
                endpoint, _ = adapter.match(method=method)
            except HTTPException:
                continue
            return self.paths.get(endpoint)
        return None

    def _resolved(self, found: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in found:
            _, _, kind, name = found["$ref"].split("/")
            found = self.document["components"][kind][name]
        return found

    def _of_headers(self, response: TestResponse, described: dict[str, Any]) -> list[str]:
        known = {name.lower() for name in described.get("headers", {})} | GENERAL
        return [f"header {name}" for name, _ in response.headers if name.lower() not in known]

    def _of_body(self, response: TestResponse, described: dict[str, Any], method: str) -> list[str]:
        # Who stores files elsewhere in a way of his own writes what goes with a redirection as he likes.
        if method == "head" or not response.data or response.status_code == 302:
            return []
        content = described.get("content", {})
        if response.mimetype not in content:
            return [f"type {response.mimetype}"]
        if not response.is_json or len(response.data) > _LARGEST or _has_other_schemas():
            return []
        schema = content[response.mimetype].get("schema", {})
        validator = self._validators.setdefault(
            repr(schema),
            Draft202012Validator(
                {**_closed(deepcopy(schema)), "components": self._components},
                format_checker=Draft202012Validator.FORMAT_CHECKER,
            ),
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(response.json)]

    def _of_request(self, request: Any, operation: dict[str, Any]) -> list[str]:
        known = {parameter["name"].lower() for parameter in operation["parameters"] if parameter["in"] == "header"}
        sent = {name.lower() for name, _ in request.headers} & self.asked
        return [f"request header {name}" for name in sent - known]


def _has_other_schemas() -> bool:
    """Tell whether a test shows objects by schemas of its own."""
    from invenio_files_rest.http.schemas import serializer_mapping

    return any(not schema.__module__.startswith("invenio_files_rest.") for schema in serializer_mapping.values())


def _closed(schema: Any) -> Any:
    """Forbid members that a schema does not have: clients must pass them over, but we describe them all."""
    if isinstance(schema, list):
        for item in schema:
            _closed(item)
    elif isinstance(schema, dict):
        for item in schema.values():
            _closed(item)
        if "required" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return schema


_contracts: WeakKeyDictionary[Flask, Contract] = WeakKeyDictionary()


def check_by_description(app: Flask, response: TestResponse) -> None:
    """Fail unless an answer is as the description of the API says.

    :param app: The application that has answered.
    :param response: The answer.
    """
    if "invenio_files_rest" not in app.blueprints or currently_in_test_context():
        # What Hypothesis makes up has headers that mean nothing, and overrides methods, which no description tells.
        return
    if app not in _contracts:
        _contracts[app] = Contract(app)
    complaints = _contracts[app].complaints(response)
    assert complaints == [], complaints
