"""Arguments of requests: parsed, checked, and refused with a message for each that is wrong."""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from flask import abort, current_app
from invenio_rest.errors import FieldError
from marshmallow import EXCLUDE, ValidationError, missing
from webargs import fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import PathConverter

from ..errors import FileSizeError, InvalidArguments, field_errors

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

    def load_json(self, req: Any, schema: Any) -> Any:
        """Load arguments from a body in JSON.

        :raises werkzeug.exceptions.BadRequest: Where it is none, or nested or a number beyond what Python reads.
        """
        try:
            return super().load_json(req, schema)
        except (RecursionError, ValueError) as error:
            self._handle_invalid_json_error(error, req)

    def load_query_or_json(self, req: Any, schema: Any) -> Any:
        """Load arguments from the query, and those that it lacks from a body in JSON.

        :raises InvalidArguments: Where the body is no JSON object.
        """
        body = self.load_json(req, schema)
        if body is missing:
            body = {}
        if not isinstance(body, dict):
            raise InvalidArguments(errors=[FieldError("body", "Not a JSON object.")])
        return body | req.args.to_dict()

    def _handle_invalid_json_error(self, error: Any, req: Any, *args: Any, **kwargs: Any) -> NoReturn:
        abort(400, description="The body is not valid JSON.")


use_kwargs = ArgumentParser().use_kwargs
"""Decorator that passes arguments of the request."""


def as_uuid(value: str) -> uuid.UUID:
    """Return the UUID that a string is.

    :param value: The string.
    :raises werkzeug.exceptions.NotFound: Where it is none.
    """
    try:
        return uuid.UUID(value)
    except ValueError:
        abort(404, description=NOT_FOUND)


def minsize_validator(value: int) -> None:
    """Check a length against ``FILES_REST_MIN_FILE_SIZE``.

    :param value: The length, in bytes.
    :raises FileSizeError: Where it is smaller.
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
    "max_keys": fields.Integer(data_key="max-keys", validate=validate.Range(1, 1000)),
}
"""Arguments that select a page of a listing."""
