"""The document: every route of an application that has a described view."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from itertools import chain
from typing import Any

from apispec import APISpec
from flask import Flask
from marshmallow import fields, missing
from werkzeug.routing import Rule

from ..arguments import Declared, declared_arguments, invalid_subresource_validator
from .headers import ANSWERED, ASKED, EVERYWHERE, FLAGS, REFUSALS, TAGS_HEADER
from .schemas import UUID, Plugin, add_schemas, properties, record, ref
from .uses import Answer, Use

VERSION = "6"
"""Version of the API. The document tells nothing of the installation, so neither that of the package."""

_ABOUT = """Files in buckets. `prettyprint` indents the JSON of every answer.

Requests about uploads may name the method that is meant in `X-HTTP-Method-Override`, and are answered as it is.
"""

Described = Mapping[Any, Mapping[str, tuple[Use, ...]]]
"""Uses of each method of a view function, or of the class of one."""

_VARIABLE = re.compile(r"<(?:\w+(?:\([^<>]*\))?:)?(\w+)>")

_PATH = {
    "bucket_id": ("Identifier of the bucket.", UUID),
    "key": ("Key of the object: any path, whose slashes may stand as they are.", {"type": "string", "minLength": 1}),
}

_NEVER_DESCRIBED = {"accept", "authorization", "content-type", "content-length"}
"""Headers that OpenAPI describes in other places, or HTTP."""


def make_document(app: Flask, described: Described) -> dict[str, Any]:
    """Make the document.

    :param app: The application.
    :param described: What its views do.
    """
    plugin = Plugin()
    spec = APISpec(
        title="Invenio-Files-REST",
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": _ABOUT},
        security=[{}, {"token": []}, {"session": []}],
    )
    converter: Any = plugin.converter
    add_schemas(spec, converter)
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    cookie = app.config["SESSION_COOKIE_NAME"]
    spec.components.security_scheme("session", {"type": "apiKey", "in": "cookie", "name": cookie})
    for name, (text, schema) in ANSWERED.items():
        spec.components.header(name, {"description": text, "schema": schema})
    for status, (text, headers) in REFUSALS.items():
        spec.components.response(str(status), _refusal(text, headers, ("application/json", "Error")))
        with_problem = ("application/json", "Error"), ("application/problem+json", "Problem")
        spec.components.response(f"{status}Problem", _refusal(text, headers, *with_problem))
    describe = _Describer(converter, app.config["FILES_REST_FILE_TAGS_HEADER"])
    for path, rule, view in described_rules(app, described):
        spec.path(
            path,
            parameters=[_path_parameter(name) for name in _VARIABLE.findall(rule.rule)],
            operations={
                method.lower(): {
                    "operationId": f"{rule.endpoint}.{method.lower()}",
                    "summary": _first_line(getattr(view, method.lower(), view)),
                    **describe(method, uses),
                }
                for method, uses in described[view].items()
            },
        )
    return spec.to_dict()


def described_rules(app: Flask, described: Described) -> Iterable[tuple[str, Rule, Any]]:
    """Return the routes of an application that have a described view: path, rule, and which of ``described`` it is.

    :param app: The application.
    :param described: What its views do.
    """
    rules = [rule for rule in app.url_map.iter_rules() if not rule.build_only]
    known = {rule.rule for rule in rules}
    for rule in rules:
        # With a slash at the end it is the same.
        if rule.rule.endswith("/") and rule.rule.rstrip("/") in known:
            continue
        view = app.view_functions[rule.endpoint]
        for found in (view, *getattr(getattr(view, "view_class", None), "__mro__", ())):
            if found in described:
                yield _VARIABLE.sub(r"{\1}", rule.rule), rule, found
                break


def _path_parameter(name: str) -> dict[str, Any]:
    text, schema = _PATH.get(name, ("", {"type": "string", "minLength": 1}))
    about = {"description": text} if text else {}
    return {"name": name, "in": "path", "required": True, **about, "schema": schema}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*names, *EVERYWHERE})}


def _refusal(text: str, headers: Iterable[str], *bodies: tuple[str, str]) -> dict[str, Any]:
    content = {mimetype: {"schema": ref(name)} for mimetype, name in bodies}
    return {
        "description": text,
        "headers": _headers((*headers, "Content-Language", "Tus-Resumable")),
        "content": content,
    }


def markdown(text: str) -> str:
    """Return a sentence of a docstring as Markdown.

    :param text: The sentence.
    """
    text = re.sub(r":[\w:]+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`")


class _Describer:
    """Describes an operation by its uses.

    :param converter: Converter of the document's plugin.
    :param tags_header: Name of the header with tags.
    """

    def __init__(self, converter: Any, tags_header: str) -> None:
        self.converter = converter
        self.tags_header = tags_header

    def __call__(self, method: str, uses: tuple[Use, ...]) -> dict[str, Any]:
        about = {}
        if len(uses) > 1:
            about["description"] = "\n".join(
                f"- {f'with `{use.when}`' if use.when else 'otherwise'}: {_first_line(use.view)}" for use in uses
            )
        operation = {
            **about,
            "parameters": list(self._parameters(uses)),
            "responses": {str(status): answer for status, answer in sorted(self._answers(method, uses).items())},
        }
        if body := self._body(uses):
            operation["requestBody"] = {"content": body}
        return operation

    def _functions(self, uses: Iterable[Use]) -> Iterable[Callable[..., Any]]:
        return chain.from_iterable((use.view, *use.also) for use in uses)

    def _declared(self, uses: Iterable[Use], *locations: str) -> dict[str, fields.Field]:
        """Return the fields of arguments, by their names in the request, each with its description."""
        found: dict[str, fields.Field] = {}
        for function in self._functions(uses):
            for declared in declared_arguments(function):
                if declared.location in locations:
                    found |= _fields_of(declared, function)
        return found

    def _parameters(self, uses: tuple[Use, ...]) -> Iterable[dict[str, Any]]:
        query = self._declared(uses, "query", "query_or_json")
        for name, field in query.items():
            yield self._parameter(name, field)
        for use in uses:
            for name in filter(None, (use.when, *use.flags)):
                if name not in query:
                    query[name] = fields.Raw()
                    yield self._parameter(name, fields.Raw(metadata={"description": FLAGS[name]}))
        sent = self._declared(uses, "headers")
        names = dict.fromkeys(chain(sent, *(use.headers for use in uses)))
        for name in sorted(name for name in names if name.lower() not in _NEVER_DESCRIBED):
            text, schema = ASKED[name]
            shown = self.tags_header if name == TAGS_HEADER else name
            yield {"name": shown, "in": "header", "description": text, "schema": schema}

    def _parameter(self, name: str, field: fields.Field) -> dict[str, Any]:
        parameter = self.converter._field2parameter(field, name=name, location="query")
        if isinstance(field, fields.Raw):
            parameter["allowEmptyValue"] = True
        # Which are needed depends on the use.
        return {**parameter, "required": False}

    def _body(self, uses: tuple[Use, ...]) -> dict[str, Any]:
        content: dict[str, Any] = {mimetype: {} for use in uses for mimetype in use.body}
        bodies = []
        for use in uses:
            if json := self._declared([use], "json_object"):
                bodies.append({**self._schema(json), "additionalProperties": False})
            elif json := self._declared([use], "query_or_json"):
                bodies.append(self._schema(json))
        if bodies:
            content["application/json"] = _one_of(bodies)
        if form := self._declared(uses, "form", "files"):
            content["multipart/form-data"] = {"schema": self._schema(form)}
        return content

    def _schema(self, described: Mapping[str, fields.Field]) -> dict[str, Any]:
        optional = {name for name, field in described.items() if not field.required}
        return record(properties(described, self.converter), optional)

    def _answers(self, method: str, uses: tuple[Use, ...]) -> dict[int, dict[str, Any]]:
        found: dict[int, list[Answer]] = {}
        for use in uses:
            for status, answer in use.answers.items():
                found.setdefault(status, []).append(answer)
        answers = {status: _merged(several, method != "HEAD") for status, several in found.items()}
        refused = frozenset[int]().union(*(use.refuses for use in uses))
        if self._declared(uses, "query", "query_or_json", "json_object", "form"):
            refused |= {422}
        if self._declared(uses, "json_object"):
            refused |= {415}
        problems = frozenset[int]().union(*(use.problems for use in uses))
        for status in refused - set(answers):
            name = f"{status}Problem" if status in problems else str(status)
            answers[status] = {"$ref": f"#/components/responses/{name}"}
        return answers


def _fields_of(declared: Declared, function: Callable[..., Any]) -> dict[str, fields.Field]:
    described = dict(re.findall(r":param (\w+): (.*?)(?=\n\s*:|\Z)", function.__doc__ or "", re.DOTALL))
    found = {}
    for name, field in declared.fields.items():
        if invalid_subresource_validator in field.validators:
            continue
        other = copy(field)
        other.data_key = field.data_key or name
        if field.load_default is None:
            # It may be missing, rather than null.
            other.load_default, other.allow_none = missing, False
        text = field.metadata.get("description") or described.get(name)
        if text is not None:
            other.metadata = {**field.metadata, "description": markdown(text)}
        found[other.data_key] = other
    return found


def _first_line(function: Callable[..., Any]) -> str:
    return markdown(str(function.__doc__).split("\n\n")[0])


def _merged(answers: list[Answer], with_body: bool) -> dict[str, Any]:
    """Return the response that several answers of one status are."""
    merged: dict[str, Any] = {
        "description": " ".join(dict.fromkeys(answer.description for answer in answers)),
        "headers": _headers(chain.from_iterable(answer.headers for answer in answers)),
    }
    schemas: dict[str, list[Any]] = {}
    for answer in answers if with_body else ():
        for mimetype in answer.types:
            found = schemas.setdefault(mimetype, [])
            if answer.schema is not None and answer.schema not in found:
                found.append(dict(answer.schema))
    if schemas:
        merged["content"] = {mimetype: _one_of(found) for mimetype, found in schemas.items()}
    return merged


def _one_of(schemas: list[Any]) -> dict[str, Any]:
    if not schemas:
        return {}
    return {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
