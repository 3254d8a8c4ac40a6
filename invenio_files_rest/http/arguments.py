"""Parsing and checking the arguments of requests, with an error message for each that is wrong."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl

from flask import abort, request
from invenio_rest.errors import FieldError
from marshmallow import EXCLUDE, ValidationError, missing
from webargs import fields, validate
from webargs.core import is_json
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.exceptions import BadRequest, ClientDisconnected, MethodNotAllowed
from werkzeug.routing import PathConverter

from ..errors import InvalidArguments, field_errors
from ..messages import lazy_gettext as _
from ..messages import lazy_ngettext
from ..permissions.usable import Place
from .streamed_form import stream_form

NOT_FOUND = _("The bucket or the object does not exist.")
"""Message for something that does not exist or is hidden from the client; the same in all cases."""


class KeyConverter(PathConverter):
    """The key of an object in a URL: a path that may begin with a slash and contain line breaks."""

    regex = "(?s:.+)"
    part_isolating = False


class ArgumentParser(FlaskParser):
    """Parser whose errors are JSON with a message for each argument. Unknown arguments are ignored."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = dict.fromkeys(
        ("query", "headers", "form", "files", "query_or_json"), EXCLUDE
    )
    __location_map__: dict[str, Any] = FlaskParser.__location_map__ | {
        "query_or_json": "load_query_or_json",
        "json_object": "load_json_object",
    }

    def handle_error(self, error: ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse the request.

        :raises InvalidArguments: Always.
        """
        raise InvalidArguments(errors=field_errors(error.normalized_messages()))

    def load_querystring(self, req: Any, schema: Any) -> Any:
        """Load arguments from the query string.

        :raises InvalidArguments: If the query string, or a text in it once decoded, is not in UTF-8. Werkzeug would
            replace or ignore such bytes.
        """
        if not req.query_string:
            return super().load_querystring(req, schema)
        texts = {field.data_key or name for name, field in schema.fields.items() if isinstance(field, fields.String)}
        try:
            query = parse_qsl(req.query_string.decode(), keep_blank_values=True, errors="surrogateescape")
        except UnicodeDecodeError as error:
            raise InvalidArguments(errors=[FieldError("query", _("Not in UTF-8."))]) from error
        if broken := [name for name, value in query if name in texts and not is_unicode(value)]:
            raise InvalidArguments(errors=[FieldError(name, _("Not in UTF-8.")) for name in broken])
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
        """Load arguments from a JSON body.

        :raises werkzeug.exceptions.BadRequest: If it is not JSON, or has deeper nesting or longer numbers than Python
            can read.
        """
        try:
            return super().load_json(req, schema)
        except ClientDisconnected:
            raise
        except (BadRequest, RecursionError, ValueError):
            abort(400, description=_("The body is not valid JSON."))

    def load_json_object(self, req: Any, schema: Any) -> Any:
        """Load arguments from a body that has to be a JSON object.

        :raises werkzeug.exceptions.UnsupportedMediaType: If it is not sent as JSON (RFC 9110, section 15.5.16).
        :raises InvalidArguments: If the body is not a JSON object.
        """
        if not is_json(req.mimetype):
            abort(415, description=_("Send the body as JSON, with Content-Type: application/json."))
        body = self.load_json(req, schema)
        if not isinstance(body, dict):
            raise InvalidArguments(errors=[FieldError("body", _("Not a JSON object."))])
        return body

    def load_query_or_json(self, req: Any, schema: Any) -> Any:
        """Load arguments from the query string, and missing ones from a JSON body.

        :raises InvalidArguments: If the body is not a JSON object.
        """
        body = self.load_json(req, schema)
        if body is missing:
            body = {}
        if not isinstance(body, dict):
            raise InvalidArguments(errors=[FieldError("body", _("Not a JSON object."))])
        return body | req.args.to_dict()


def is_unicode(text: str) -> bool:
    """Return whether a text consists of characters only, without bytes that could not be decoded.

    :param text: The text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_parser = ArgumentParser()


class Declared(NamedTuple):
    """Arguments that a function takes from one place of the request."""

    location: str
    """The place: ``query``, ``headers``, ``form``, ``files``, ``json_object`` or ``query_or_json``."""

    fields: Mapping[str, fields.Field]
    """Their fields, by the names that they have in the function."""


def use_kwargs(
    argmap: Mapping[str, fields.Field], *, location: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Pass arguments of the request to a function, and note them on it; see :func:`declared_arguments`.

    :param argmap: Fields of the arguments, by the names that they have in the function.
    :param location: Where in the request they are; see :attr:`Declared.location`.
    """
    parse = _parser.use_kwargs(argmap, location=location)

    def decorator(f: Callable[..., Any]) -> Callable[..., Any]:
        passing: Any = parse(f)
        # Decorators around it hand it on, as functools.wraps does with all that a function has.
        passing.declared_arguments = (Declared(location, argmap), *declared_arguments(f))
        return passing

    return decorator


def declared_arguments(f: Callable[..., Any]) -> tuple[Declared, ...]:
    """Return the arguments that a function takes from the request.

    :param f: The function, whatever decorators it has.
    """
    declared: tuple[Declared, ...] = getattr(f, "declared_arguments", ())
    return declared


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
"""The standard form of a UUID (RFC 9562, section 4). Python reads other forms, too."""

NUMBER = re.compile("-?[0-9]+")
"""A whole number in ASCII digits. Python also reads ``1_000``, ``+1`` and digits of other scripts."""


def as_uuid(value: str) -> uuid.UUID:
    """Parse a UUID in a URL: hexadecimal digits in any case, with dashes.

    :param value: The string.
    :raises werkzeug.exceptions.NotFound: If it is not a UUID.
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


class BucketPlace(fields.String):
    """A place in the list of buckets, after which a page goes on."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return Place.parse(super()._deserialize(value, *args, **kwargs))
        except ValueError as error:
            raise ValidationError(error.args[0]) from error


class WholeNumber(fields.Integer):
    """A whole number in the digits 0 to 9; in JSON also as a number."""

    default_error_messages = {"invalid": _("Not a whole number in the digits 0 to 9.")}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and not NUMBER.fullmatch(value):
            raise self.make_error("invalid", input=value)
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **kwargs)


def invalid_subresource_validator(value: Any) -> None:
    """Refuse an argument that the method does not take.

    :param value: Value of the argument.
    :raises werkzeug.exceptions.MethodNotAllowed: Always.
    """
    raise MethodNotAllowed(["POST"])


def flag(name: str) -> fields.Raw:
    """Return an argument without a value: what counts is whether it is there.

    :param name: Name of the argument.
    """
    return fields.Raw(data_key=name)


def between(least: int, most: int) -> validate.Range:
    """Return what refuses a number that is smaller or larger.

    :param least: The smallest number that is taken.
    :param most: The largest one.
    """
    text = _("Must be greater than or equal to %(min)s and less than or equal to %(max)s.")
    return validate.Range(least, most, error=text)


def at_most(length: int) -> validate.Length:
    """Return what refuses a text with more characters.

    :param length: The largest number of characters that is taken.
    """
    return validate.Length(max=length, error=_("Longer than maximum length %(max)s."))


def one_of(*texts: str) -> validate.OneOf:
    """Return what refuses any other text.

    :param texts: The texts that are taken.
    """
    return validate.OneOf(texts, error=_("Must be one of: %(choices)s."))


of_a_key = validate.ContainsNoneOf("\0", error=_("No key has a null character."))
"""What a text has to be to be a part of a key."""


def _described(description: str) -> dict[str, str]:
    return {"description": description}


PAGE = {
    "prefix": fields.String(validate=of_a_key, metadata=_described("What each key begins with.")),
    "delimiter": fields.String(
        validate=of_a_key,
        metadata=_described("Keys that have it after the prefix are grouped, as ``common_prefixes``."),
    ),
    "start_after": fields.String(
        data_key="start-after", validate=of_a_key, metadata=_described("The page begins after this key.")
    ),
    "max_keys": WholeNumber(
        data_key="max-keys",
        validate=between(1, 1000),
        metadata=_described("Largest number of entries on the page, groups included; without it, there is no limit."),
    ),
}
"""Arguments that select a page of a listing."""

SUBRESOURCES = frozenset(
    {"uploads", "versionId", "uploadId", "partNumber", "part", "copy", "move", "restore", "tags", "links", "linkId"}
)
"""Names of query arguments that select what a request is about, other than the object itself."""

FORM = frozenset({"file", "_totalSize", "_chunkSize", "_chunkNumber", "_currentChunkSize"})
"""Names of the fields of the forms that ng-file-upload sends."""


def refuse_stray_arguments(*expected: str) -> None:
    """Refuse query arguments that suggest that the request was meant to do something else.

    An argument in :data:`SUBRESOURCES` that does not belong in this request, or is spelled in the wrong case, would
    otherwise be ignored: a part sent without its ``uploadId`` would replace the whole object. Other arguments are
    allowed, since upload factories may use them.

    :param expected: Names of the arguments that belong in this request.
    :raises werkzeug.exceptions.BadRequest: If there is such an argument, or an expected one is given twice. The message
        names it.
    """
    _refuse_strays(_ARGUMENT, request.args, SUBRESOURCES | {*expected}, {*expected})


def refuse_misspelt_fields() -> None:
    """Refuse fields of :data:`FORM` that are spelled in the wrong case or given twice, so that none is ignored.

    :raises werkzeug.exceptions.BadRequest: If there is such a field. The message names it.
    """
    _refuse_strays(_FIELD, CombinedMultiDict([request.form, request.files]), FORM, FORM)


class _Strays(NamedTuple):
    """What to say of a name that is written wrong, that does not belong here, and that is given several times."""

    written: Callable[[str, str], str]
    strange: Callable[[str], str]
    repeated: Callable[[str, int], str]


_ARGUMENT = _Strays(
    lambda name, right: _("The argument %(name)s does not exist: it is written %(right)s.", name=name, right=right),
    lambda name: _("The argument %(name)s has no meaning in this request.", name=name),
    lambda name, num: lazy_ngettext(
        "The argument %(name)s is given %(num)s time.", "The argument %(name)s is given %(num)s times.", num, name=name
    ),
)
_FIELD = _Strays(
    lambda name, right: _("The field %(name)s does not exist: it is written %(right)s.", name=name, right=right),
    lambda name: _("The field %(name)s has no meaning in this request.", name=name),
    lambda name, num: lazy_ngettext(
        "The field %(name)s is given %(num)s time.", "The field %(name)s is given %(num)s times.", num, name=name
    ),
)


def _refuse_strays(said: _Strays, given: MultiDict[str, Any], ours: Set[str], expected: Set[str]) -> None:
    known = {name.lower(): name for name in ours}
    for name, values in given.lists():
        right = known.get(name.lower())
        if right is None:
            continue
        if name != right:
            abort(400, description=said.written(name, right))
        if name not in expected:
            abort(400, description=said.strange(name))
        if len(values) > 1:
            abort(400, description=said.repeated(name, len(values)))
