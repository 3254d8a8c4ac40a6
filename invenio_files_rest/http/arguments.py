"""Arguments of requests: parsed, checked, and refused with a message for each that is wrong."""

from __future__ import annotations

import re
import uuid
from collections.abc import Set
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from flask import abort, current_app, request
from invenio_rest.errors import FieldError
from marshmallow import EXCLUDE, ValidationError, missing
from webargs import fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import PathConverter

from ..errors import FileSizeError, InvalidArguments, field_errors
from .streamed_form import stream_form

NOT_FOUND = "The bucket or the object does not exist."
"""What a client learns of a thing that is not there, or that it may not know of: the same in every case."""


class KeyConverter(PathConverter):
    """The key of an object in a URL: a path that may begin with a slash and have line breaks, too."""

    regex = "(?s:.+)"
    part_isolating = False


class ArgumentParser(FlaskParser):
    """Parser of arguments whose errors are JSON, with a message for each argument. What it does not know it ignores."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = dict.fromkeys(
        ("query", "headers", "form", "files", "query_or_json"), EXCLUDE
    )
    __location_map__: dict[str, Any] = FlaskParser.__location_map__ | {"query_or_json": "load_query_or_json"}

    def handle_error(self, error: ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse the request.

        :raises InvalidArguments: In any case.
        """
        raise InvalidArguments(errors=field_errors(error.normalized_messages()))

    def load_querystring(self, req: Any, schema: Any) -> Any:
        """Load arguments from the query.

        :raises InvalidArguments: If a text is not in UTF-8, of which Werkzeug would make another text, or the query
            is not, which it does not read.
        """
        texts = {field.data_key or name for name, field in schema.fields.items() if isinstance(field, fields.String)}
        try:
            query = parse_qsl(req.query_string.decode(), keep_blank_values=True, errors="surrogateescape")
        except UnicodeDecodeError as error:
            raise InvalidArguments(errors=[FieldError("query", "Not in UTF-8.")]) from error
        if broken := [name for name, value in query if name in texts and not is_unicode(value)]:
            raise InvalidArguments(errors=[FieldError(name, "Not in UTF-8.") for name in broken])
        return super().load_querystring(req, schema)

    def load_form(self, req: Any, schema: Any) -> Any:
        """Load arguments from a form, whose file is left to be read as it comes."""
        stream_form(req)
        return super().load_form(req, schema)

    def load_files(self, req: Any, schema: Any) -> Any:
        """Load arguments from the files of a form, which are left to be read as they come."""
        stream_form(req)
        return super().load_files(req, schema)

    def load_json(self, req: Any, schema: Any) -> Any:
        """Load arguments from a body in JSON.

        :raises werkzeug.exceptions.BadRequest: If it is none, or nested or a number beyond what Python reads.
        """
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError) as error:
            self._handle_invalid_json_error(error, req)

    def load_query_or_json(self, req: Any, schema: Any) -> Any:
        """Load arguments from the query, and those that it lacks from a body in JSON.

        :raises InvalidArguments: If the body is no JSON object.
        """
        body = self.load_json(req, schema)
        if body is missing:
            body = {}
        if not isinstance(body, dict):
            raise InvalidArguments(errors=[FieldError("body", "Not a JSON object.")])
        return body | req.args.to_dict()

    def _handle_invalid_json_error(self, error: Any, req: Any, *args: Any, **kwargs: Any) -> NoReturn:
        abort(400, description="The body is not valid JSON.")


def is_unicode(text: str) -> bool:
    """Tell whether a text has whole characters alone, and no bytes that could not be decoded.

    :param text: The text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


use_kwargs = ArgumentParser().use_kwargs
"""Decorator that passes arguments of the request."""


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
"""The one spelling of a UUID (RFC 9562, section 4). Python reads others, too."""

NUMBER = re.compile("-?[0-9]+")
"""A number in digits. Python reads others, too: ``1_000``, ``+1``, digits of other scripts."""


def as_uuid(value: str) -> uuid.UUID:
    """Return the UUID that a string is, as URLs have it: in hexadecimal digits of any case, with its dashes.

    :param value: The string.
    :raises werkzeug.exceptions.NotFound: If it is none.
    """
    if not is_uuid(value):
        abort(404, description=NOT_FOUND)
    return uuid.UUID(str(value))


def is_uuid(value: str) -> bool:
    """Tell whether a string is a UUID, as :func:`as_uuid` reads it.

    :param value: The string.
    """
    return _UUID.fullmatch(str(value)) is not None


class Identifier(fields.UUID):
    """The identifier of a version or an upload, as :func:`as_uuid` reads it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_uuid(value):
            raise self.make_error("invalid_uuid")
        return super()._deserialize(value, *args, **kwargs)


class WholeNumber(fields.Integer):
    """A whole number in the digits 0 to 9; in JSON also a number that is whole."""

    default_error_messages = {"invalid": "Not a whole number in the digits 0 to 9."}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and not NUMBER.fullmatch(value):
            raise self.make_error("invalid", input=value)
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **kwargs)


def minsize_validator(value: int) -> None:
    """Check a length against ``FILES_REST_MIN_FILE_SIZE``.

    :param value: The length, in bytes.
    :raises FileSizeError: If it is smaller.
    """
    smallest = current_app.config["FILES_REST_MIN_FILE_SIZE"]
    if value < smallest:
        raise FileSizeError(description=f"The file is smaller than the minimum of {smallest} bytes.")


def invalid_subresource_validator(value: Any) -> None:
    """Refuse an argument that the method does not take.

    :param value: Value of the argument.
    :raises werkzeug.exceptions.MethodNotAllowed: In any case.
    """
    raise MethodNotAllowed(["POST"])


def flag(name: str) -> fields.Raw:
    """Return an argument that is passed where it is there, with any value or none.

    :param name: Name of the argument.
    """
    return fields.Raw(data_key=name)


_of_a_key = validate.ContainsNoneOf("\0", error="No key has a null character.")

PAGE = {
    "prefix": fields.String(validate=_of_a_key),
    "delimiter": fields.String(validate=_of_a_key),
    "start_after": fields.String(data_key="start-after", validate=_of_a_key),
    "max_keys": WholeNumber(data_key="max-keys", validate=validate.Range(1, 1000)),
}
"""Arguments that select a page of a listing."""

SUBRESOURCES = frozenset({"uploads", "versionId", "uploadId", "partNumber", "part"})
"""Names of arguments in the query that say what a request is about: something else than the object itself."""

FORM = frozenset({"file", "_totalSize", "_chunkSize", "_chunkNumber", "_currentChunkSize"})
"""Names of the fields of the forms that ng-file-upload sends."""


def refuse_stray_arguments(*expected: str) -> None:
    """Refuse arguments in the query that may mean something else than what the request does, before it does it.

    An argument of :data:`SUBRESOURCES` that has no meaning in this request would be passed over, and a part of an
    upload without its ``uploadId`` take the place of the whole object; one that is misspelt in case would be, too. Any
    other name may be an upload factory's.

    :param expected: Names that have a meaning in this request.
    :raises werkzeug.exceptions.BadRequest: If there is such an argument, or one expected twice. The message names
        it.
    """
    _refuse_strays("argument", request.args, SUBRESOURCES | {*expected}, {*expected})


def refuse_misspelt_fields() -> None:
    """Refuse fields of :data:`FORM` that are misspelt in case or given twice, so that none of them is passed over.

    :raises werkzeug.exceptions.BadRequest: If there is such a field. The message names it.
    """
    _refuse_strays("field", CombinedMultiDict([request.form, request.files]), FORM, FORM)


def _refuse_strays(kind: str, given: MultiDict[str, Any], ours: Set[str], expected: Set[str]) -> None:
    known = {name.lower(): name for name in ours}
    for name, values in given.lists():
        right = known.get(name.lower())
        if right is None:
            continue
        if name != right:
            abort(400, description=f"The {kind} {name} does not exist: it is written {right}.")
        if name not in expected:
            abort(400, description=f"The {kind} {name} has no meaning in this request.")
        if len(values) > 1:
            abort(400, description=f"The {kind} {name} is given {len(values)} times.")
