"""What clients get to see: JSON of buckets, objects, uploads and parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import islice
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from textwrap import indent
from typing import Any, ClassVar
from urllib.parse import urlencode

from flask import Response, current_app, g, request, url_for
from invenio_rest.serializer import BaseSchema as RESTSchema
from marshmallow import Schema, fields, missing, post_dump
from marshmallow_utils.context import context_schema
from werkzeug.wsgi import wrap_file

from ..keys import paths_of
from ..models import Bucket, MultipartObject, ObjectVersion, Part
from ..models.listing import Listing
from .waiting import once_done

_SPOOLED_IN_MEMORY = 1024**2
"""Bytes of a listing that are kept in memory."""

_ITEMS_AT_A_TIME = 100
"""Items of a listing that are made JSON at once."""

_BLOCK = 64 * 1024
"""Bytes of a listing that are sent at once."""


def bucket_url(bucket_id: Any) -> str:
    """Return the URL of a bucket.

    :param bucket_id: Identifier of the bucket.
    """
    # Those that this request has made already.
    urls: dict[Any, str] = g.setdefault("files_rest_bucket_urls", {})
    url = urls.get(bucket_id)
    if url is None:
        urls[bucket_id] = url = url_for("invenio_files_rest.bucket_api", bucket_id=bucket_id, _external=True)
    return url


def object_urls(bucket_id: Any, key: str) -> tuple[str | None, str]:
    """Return the URLs of an object.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :returns: The URL of the object, ``None`` where none can name it, and the one to which the identifier of a version
        or of an upload is added. See :mod:`invenio_files_rest.keys`.
    """
    path, with_identifier = paths_of(key)
    url = bucket_url(bucket_id)
    return path and f"{url}/{path}", f"{url}/{with_identifier}"


def _asked(name: str) -> Any:
    """Return what the context of :func:`json_serializer` has of a name, ``None`` where it has nothing."""
    return context_schema.get({}).get(name)


class BaseSchema(RESTSchema):
    """What all representations have: time stamps, and links where a schema has some."""

    one_by_one: ClassVar[bool] = False
    """Whether each of many is shown by itself, in the same way in every request, and without the database.

    Then a listing is streamed, and the schema made once. A class says so for itself, not for those that inherit from
    it: they may show many together, or ask the database for more, which in the middle of an unbuffered result would
    make the driver of MySQL forget the rest.
    """

    created = fields.DateTime(dump_only=True)
    updated = fields.DateTime(dump_only=True)
    links = fields.Method("dump_links", dump_only=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return what a field shows: an attribute, or one of an attribute, or an item.

        Marshmallow would look for an item first, which takes long where thousands are listed.
        """
        try:
            return attrgetter(attr)(obj)
        except AttributeError:
            return super().get_attribute(obj, attr, default)

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        """Return what is shown of an object: as marshmallow does, but where each field is looked for is known."""
        if not many and self._plan is not None:
            shown = self.dict_class()
            try:
                for key, get, serialize, name in self._plan:
                    value = serialize(None if get is None else get(obj), name, obj)
                    if value is not missing:
                        shown[key] = value
            except AttributeError:
                # Marshmallow knows what is shown where an object lacks an attribute.
                pass
            else:
                return shown
        return super()._serialize(obj, many=many)

    @cached_property
    def _plan(self) -> list[tuple[str, Callable[[Any], Any] | None, Callable[..., Any], str]] | None:
        """Key, attribute, function and name of each field; ``None`` where some field has ways of its own."""
        usual = (fields.Field.serialize, fields.Field.get_value)
        if type(self).get_attribute is not BaseSchema.get_attribute or any(
            (type(field).serialize, type(field).get_value) != usual for field in self.dump_fields.values()
        ):
            return None
        return [
            (
                name if field.data_key is None else field.data_key,
                attrgetter(name if field.attribute is None else field.attribute) if field._CHECK_ATTRIBUTE else None,
                field._serialize,
                name,
            )
            for name, field in self.dump_fields.items()
        ]

    def dump_links(self, obj: Any) -> Any:
        """Return the links of an object; ``missing`` for none."""
        return missing


class BucketSchema(BaseSchema):
    """A bucket."""

    one_by_one = True

    id = fields.UUID()
    size = fields.Integer()
    quota_size = fields.Integer()
    max_file_size = fields.Integer()
    locked = fields.Boolean()

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of a bucket."""
        url = bucket_url(obj.id)
        return {"self": url, "versions": f"{url}?versions", "uploads": f"{url}?uploads"}


def _shown_bucket() -> dict[str, Any]:
    """Return what is shown of the bucket that the context has."""
    bucket = _asked("bucket")
    return {} if bucket is None else dict(_schema_of(Bucket, _asked("serializer_mapping") or {}).dump(bucket))


class ObjectVersionSchema(BaseSchema):
    """A version of an object. Many are shown as the contents of the bucket that the context has."""

    one_by_one = True

    key = fields.String()
    version_id = fields.UUID()
    is_head = fields.Boolean()
    mimetype = fields.String()
    size = fields.Integer(attribute="file.size", dump_default=None)
    checksum = fields.String(attribute="file.checksum", dump_default=None)
    delete_marker = fields.Boolean(attribute="deleted")
    tags = fields.Method("dump_tags")

    def dump_tags(self, obj: Any) -> dict[str, str]:
        """Return the tags of a version."""
        tags: dict[str, str] = obj.get_tags()
        return tags

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of a version."""
        url, with_identifier = object_urls(obj.bucket_id, obj.key)
        version_url = f"{with_identifier}?versionId={obj.version_id}"
        if not obj.is_head or url is None:
            return {"self": version_url, "version": version_url}
        links = {"self": url, "version": version_url}
        if not obj.deleted:
            links["uploads"] = f"{url}?uploads"
        return links

    @post_dump(pass_many=True)
    def wrap(self, data: Any, many: bool, **kwargs: Any) -> Any:
        """Show many as the contents of a bucket.

        :param data: What is shown of each.
        :param many: Whether there are many.
        :param kwargs: Not used: marshmallow has more.
        """
        return {"contents": data, **_shown_bucket()} if many else data


class MultipartObjectSchema(BaseSchema):
    """A multipart upload."""

    one_by_one = True

    id = fields.UUID(attribute="upload_id")
    bucket = fields.UUID(attribute="bucket_id")
    key = fields.String()
    completed = fields.Boolean()
    size = fields.Integer()
    part_size = fields.Integer(attribute="chunk_size")
    last_part_number = fields.Integer()
    last_part_size = fields.Integer()

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of an upload, among them that of the version that it becomes, where the context has it."""
        url, with_identifier = object_urls(obj.bucket_id, obj.key)
        links = {
            "self": f"{with_identifier}?uploadId={obj.upload_id}",
            "object": url or f"{with_identifier}?versionId={obj.version_id}",
            "bucket": bucket_url(obj.bucket_id),
        }
        if version_id := _asked("object_version_id"):
            links["object_version"] = f"{with_identifier}?versionId={version_id}"
        return links


class PartSchema(BaseSchema):
    """A part of a multipart upload. Many are shown with the upload that the context has."""

    links: Any = None

    part_number = fields.Integer()
    start_byte = fields.Integer()
    end_byte = fields.Integer()
    checksum = fields.String()

    @post_dump(pass_many=True)
    def wrap(self, data: Any, many: bool, **kwargs: Any) -> Any:
        """Show many as the parts of an upload.

        :param data: What is shown of each.
        :param many: Whether there are many.
        :param kwargs: Not used: marshmallow has more.
        """
        if not many:
            return data
        upload = _asked("multipart")
        schema = _schema_of(MultipartObject, _asked("serializer_mapping") or {})
        return {"parts": data, **({} if upload is None else schema.dump(upload))}


serializer_mapping: dict[type, type[Schema]] = {
    Bucket: BucketSchema,
    ObjectVersion: ObjectVersionSchema,
    MultipartObject: MultipartObjectSchema,
    Part: PartSchema,
}
"""The schema of each model."""


_compact = json.JSONEncoder(separators=(",", ":")).encode


def dumps(data: Any) -> str:
    """Return data as JSON, indented where the request asks for ``prettyprint``."""
    if request.args.get("prettyprint"):
        return json.dumps(data, indent=2) + "\n"
    return _compact(data)


_made: dict[type[Schema], Schema] = {}
"""The schemas that are made once."""


def _is_one_by_one(schema: type[Schema]) -> bool:
    return vars(schema).get("one_by_one", False)


def _schema_of(model: Any, mapping: Mapping[Any, type[Schema]]) -> Schema:
    """Return the schema of a model: that of the mapping, or else ours."""
    schema = mapping.get(model) or serializer_mapping.get(model, BaseSchema)
    if not _is_one_by_one(schema):
        return schema()
    return _made.get(schema) or _made.setdefault(schema, schema())


def json_serializer(
    data: Any = None,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    etag: str | None = None,
    task_result: Any = None,
    serializer_mapping: Mapping[type, type[Schema]] = serializer_mapping,
    view_name: str | None = None,
) -> Response:
    """Make the response that shows an object, or several.

    :param data: The object; several where the context has ``many``, which are streamed where the schema shows them
        :attr:`~BaseSchema.one_by_one`; ``None`` for an empty response.
    :param code: HTTP status.
    :param headers: Further headers.
    :param context: ``class``, the model whose schema is used; ``many``; ``bucket``, whose contents the objects are, a
        model or anything with its attributes; ``multipart``, whose parts they are; ``object_version_id``, identifier of
        the version that an upload becomes. Schemas find it in ``marshmallow_utils.context.context_schema``.
    :param etag: Entity tag.
    :param task_result: ``AsyncResult`` of a task that the response waits for; see
        :func:`~invenio_files_rest.http.waiting.once_done`.
    :param serializer_mapping: The schema of each model; ours where it lacks one.
    :param view_name: Name of the view, for the schemas of other packages: it is in the context, too.
    :returns: The response.
    """
    context = dict(context or {})
    if data is None:
        response = current_app.response_class(status=code, mimetype="application/json")
    else:
        known = context | {"serializer_mapping": serializer_mapping} | ({"view_name": view_name} if view_name else {})
        token = context_schema.set(known)
        try:
            response = _shown(data, context.get("class", type(data)), bool(context.get("many")), serializer_mapping)
        finally:
            context_schema.reset(token)
        response.status_code = code
    response.headers.extend(headers or {})
    if etag:
        response.set_etag(etag)
    if data is not None and task_result is not None:
        once_done(response, task_result, context.get("object_version_id"), getattr(data, "upload_id", None))
    return response


def _shown(data: Any, model: Any, many: bool, mapping: Mapping[Any, type[Schema]]) -> Response:
    schema = _schema_of(model, mapping)
    if many and _is_one_by_one(type(schema)):
        items = map(schema._serialize, data)
        return _contents(items, data) if isinstance(schema, ObjectVersionSchema) else _array(items)
    shown = schema.dump(list(data) if many else data, many=many)
    if many and model is ObjectVersion and isinstance(shown, list):
        shown = {"contents": shown, **_shown_bucket()}
    next_page = _add_page(shown, data) if isinstance(data, Listing) else None
    return _with_next(current_app.response_class(dumps(shown), mimetype="application/json"), next_page)


def _add_page(shown: dict[str, Any], listing: Listing) -> str | None:
    """Add what a client has to know of a page of a listing.

    :param shown: What is shown of the bucket.
    :param listing: The listing, which has been read.
    :returns: URL of the next page, ``None`` where there is none.
    """
    if listing.delimiter:
        shown["common_prefixes"] = listing.common_prefixes
    if listing.next_start_after is None:
        return None
    following = request.args.to_dict() | {"start-after": listing.next_start_after}
    url = f"{shown['links']['self']}?{urlencode(following)}"
    shown["links"] = shown["links"] | {"next": url}
    return url


def _with_next(response: Response, url: str | None) -> Response:
    if url:
        response.headers["Link"] = f'<{url}>; rel="next"'
    return response


def _contents(items: Iterable[dict[str, Any]], objects: Any) -> Response:
    """Make the response that shows a bucket with its contents.

    :param items: What is shown of each object.
    :param objects: The objects.
    """
    spool = _new_spool()
    pretty = bool(request.args.get("prettyprint"))
    spool.write(b'{\n  "contents": [' if pretty else b'{"contents":[')
    _write_items(spool, items, "  " if pretty else None)
    spool.write(b"\n  ]" if pretty else b"]")
    rest = _shown_bucket()
    next_page = _add_page(rest, objects) if isinstance(objects, Listing) else None
    spool.write(("," + dumps(rest)[1:]).encode() if rest else b"}")
    return _with_next(_spooled(spool), next_page)


def _array(items: Iterable[dict[str, Any]]) -> Response:
    """Make the response that shows several objects by themselves.

    :param items: What is shown of each object.
    """
    spool = _new_spool()
    pretty = bool(request.args.get("prettyprint"))
    spool.write(b"[")
    _write_items(spool, items, "" if pretty else None)
    spool.write((b"\n]\n" if spool.tell() > 1 else b"]\n") if pretty else b"]")
    return _spooled(spool)


def _new_spool() -> SpooledTemporaryFile[bytes]:
    """Make a file for a listing, which stays in memory while it is small.

    It is sent from there, so that neither the memory grows with the listing nor a client that reads slowly holds a
    database connection.
    """
    return SpooledTemporaryFile(_SPOOLED_IN_MEMORY, mode="w+b")


def _write_items(spool: SpooledTemporaryFile[bytes], items: Iterable[dict[str, Any]], margin: str | None) -> None:
    """Write the items of an array.

    :param spool: Where to write them.
    :param items: The items.
    :param margin: What an indented array has in front of its lines; ``None`` for one that is not indented.
    """
    remaining, separator = iter(items), ""
    while batch := list(islice(remaining, _ITEMS_AT_A_TIME)):
        text = _compact(batch)[1:-1] if margin is None else indent(json.dumps(batch, indent=2)[1:-2], margin)
        spool.write((separator + text).encode())
        separator = ","


def _spooled(spool: SpooledTemporaryFile[bytes]) -> Response:
    """Make the response that sends what is in a file, and closes it.

    A web server would ask for the descriptor of a file, and so have it written to the disk: what is in memory is sent
    by itself.
    """
    size = spool.tell()
    spool.seek(0)
    if size <= _SPOOLED_IN_MEMORY:
        with spool:
            return current_app.response_class(spool.read(), mimetype="application/json")
    response = current_app.response_class(wrap_file(request.environ, spool, _BLOCK), mimetype="application/json")
    response.content_length = size
    return response
