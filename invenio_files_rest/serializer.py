"""What clients get to see: JSON of buckets, objects, uploads and parts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from textwrap import indent
from typing import Any
from urllib.parse import urlencode

from flask import Response, current_app, g, request, url_for
from marshmallow import Schema, fields, missing
from werkzeug.wsgi import wrap_file

from .keys import paths_of
from .models import Bucket, MultipartObject, ObjectVersion, Part
from .models.listing import Listing

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
    urls = _bucket_urls()
    url = urls.get(bucket_id)
    if url is None:
        urls[bucket_id] = url = url_for("invenio_files_rest.bucket_api", bucket_id=bucket_id, _external=True)
    return url


@contextmanager
def bucket_served_at(bucket_id: uuid.UUID, url: str) -> Iterator[None]:
    """Let links lead to another URL of a bucket, where an application serves it somewhere else too.

    :param bucket_id: Identifier of the bucket.
    :param url: URL of the bucket, which has the objects below it.
    """
    urls = _bucket_urls()
    usual = urls.get(bucket_id)
    urls[bucket_id] = url
    try:
        yield
    finally:
        del urls[bucket_id]
        if usual is not None:
            urls[bucket_id] = usual


def _bucket_urls() -> dict[Any, str]:
    """Return the URLs that this request has made already."""
    urls: dict[Any, str] = g.setdefault("files_rest_bucket_urls", {})
    return urls


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


class BaseSchema(Schema):
    """What all representations have: time stamps and links."""

    created = fields.DateTime(dump_only=True)
    updated = fields.DateTime(dump_only=True)
    links = fields.Method("dump_links", dump_only=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return what a field shows: an attribute, or one of an attribute.

        Marshmallow would look for an item first, which takes long where thousands are listed.
        """
        if "." in attr:
            for name in attr.split("."):
                obj = getattr(obj, name, default)
            return obj
        return getattr(obj, attr, default)

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

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of an object."""
        raise NotImplementedError


class BucketSchema(BaseSchema):
    """A bucket."""

    id = fields.UUID()
    size = fields.Integer()
    quota_size = fields.Integer()
    max_file_size = fields.Integer()
    locked = fields.Boolean()

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of a bucket."""
        url = bucket_url(obj.id)
        return {"self": url, "versions": f"{url}?versions", "uploads": f"{url}?uploads"}


class ObjectVersionSchema(BaseSchema):
    """A version of an object."""

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


class MultipartObjectSchema(BaseSchema):
    """A multipart upload."""

    id = fields.UUID(attribute="upload_id")
    bucket = fields.UUID(attribute="bucket_id")
    key = fields.String()
    completed = fields.Boolean()
    size = fields.Integer()
    part_size = fields.Integer(attribute="chunk_size")
    last_part_number = fields.Integer()
    last_part_size = fields.Integer()

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of an upload."""
        url, with_identifier = object_urls(obj.bucket_id, obj.key)
        return {
            "self": f"{with_identifier}?uploadId={obj.upload_id}",
            "object": url or self.version_url(obj),
            "bucket": bucket_url(obj.bucket_id),
        }

    @staticmethod
    def version_url(obj: Any) -> str:
        """Return the URL of the version that an upload becomes.

        :param obj: The upload.
        """
        return f"{object_urls(obj.bucket_id, obj.key)[1]}?versionId={obj.version_id}"


class PartSchema(Schema):
    """A part of a multipart upload."""

    created = fields.DateTime(dump_only=True)
    updated = fields.DateTime(dump_only=True)
    part_number = fields.Integer()
    start_byte = fields.Integer()
    end_byte = fields.Integer()
    checksum = fields.String()


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


_own_schemas = {schema: schema() for schema in serializer_mapping.values()}
"""The schemas of this module, made once. Those of other packages may depend on the request, or show many together."""


def _schema_of(model: type, mapping: Mapping[type, type[Schema]]) -> Schema:
    schema = mapping[model]
    return _own_schemas.get(schema) or schema()


def json_serializer(
    data: Any = None,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    etag: str | None = None,
    serializer_mapping: Mapping[type, type[Schema]] = serializer_mapping,
) -> Response:
    """Make the response that shows an object, or several.

    :param data: The object; several where the context has ``many``, which are streamed where they are no list and the
        schema is one of this module; ``None`` for an empty response.
    :param code: HTTP status.
    :param headers: Further headers.
    :param context: ``class``, the model whose schema is used; ``many``; ``bucket``, whose contents the objects are,
        which are streamed where the schema is one of this module.
    :param etag: Entity tag.
    :param serializer_mapping: The schema of each model.
    :returns: The response.
    """
    context = context or {}
    if data is None:
        response = current_app.response_class(status=code, mimetype="application/json")
    else:
        schema = _schema_of(context.get("class", type(data)), serializer_mapping)
        if "bucket" in context:
            container = _schema_of(type(context["bucket"]), serializer_mapping).dump(context["bucket"])
            # A schema of another package may ask the database for more: in the middle of an unbuffered result, MySQL's
            # driver would forget the rest of that.
            items = map(schema.dump, data) if type(schema) in _own_schemas else schema.dump(list(data), many=True)
            response = _contents(items, container, data)
        elif context.get("many") and type(schema) in _own_schemas and not isinstance(data, (list, tuple)):
            response = _array(map(schema.dump, data))
        else:
            many = bool(context.get("many"))
            body = dumps(schema.dump(list(data) if many else data, many=many))
            response = current_app.response_class(body, mimetype="application/json")
        response.status_code = code
    response.headers.extend(headers or {})
    if etag:
        response.set_etag(etag)
    return response


def _contents(items: Any, container: dict[str, Any], objects: Any) -> Response:
    """Make the response that shows a bucket with its contents, which views of other packages have as a query or a list.

    :param items: Iterator over what is shown of each object, or all of it where a schema shows them together.
    :param container: What is shown of the bucket.
    :param objects: The objects.
    """
    spool = _new_spool()
    pretty = bool(request.args.get("prettyprint"))
    spool.write(b'{\n  "contents": ' if pretty else b'{"contents":')
    if isinstance(items, Iterator):
        spool.write(b"[")
        _write_items(spool, items, "  " if pretty else None)
        spool.write(b"\n  ]" if pretty else b"]")
    else:
        spool.write((indent(json.dumps(items, indent=2), "  ")[2:] if pretty else _compact(items)).encode())
    rest = dict(container)
    listing = objects if isinstance(objects, Listing) else None
    if listing is not None and listing.delimiter:
        rest["common_prefixes"] = listing.common_prefixes
    if listing is not None and listing.next_start_after is not None:
        following = request.args.to_dict() | {"start-after": listing.next_start_after}
        rest["links"] = rest["links"] | {"next": f"{rest['links']['self']}?{urlencode(following)}"}
    spool.write(("," + dumps(rest)[1:]).encode())
    response = _spooled(spool)
    if "next" in rest["links"]:
        response.headers["Link"] = f'<{rest["links"]["next"]}>; rel="next"'
    return response


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
