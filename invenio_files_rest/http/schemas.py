"""What clients get to see of buckets, objects, uploads and parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

from invenio_rest.serializer import BaseSchema as RESTSchema
from marshmallow import Schema, fields, missing, post_dump
from marshmallow_utils.context import context_schema

from ..models import Bucket, MultipartObject, ObjectVersion, Part
from .links import bucket_url, object_urls


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


def shown_bucket() -> dict[str, Any]:
    """Return what is shown of the bucket that the context has."""
    bucket = _asked("bucket")
    return {} if bucket is None else dict(schema_of(Bucket, _asked("serializer_mapping") or {}).dump(bucket))


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
        return {"contents": data, **shown_bucket()} if many else data


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
        schema = schema_of(MultipartObject, _asked("serializer_mapping") or {})
        return {"parts": data, **({} if upload is None else schema.dump(upload))}


serializer_mapping: dict[type, type[Schema]] = {
    Bucket: BucketSchema,
    ObjectVersion: ObjectVersionSchema,
    MultipartObject: MultipartObjectSchema,
    Part: PartSchema,
}
"""The schema of each model."""

_made: dict[type[Schema], Schema] = {}
"""The schemas that are made once."""


def is_one_by_one(schema: type[Schema]) -> bool:
    """Tell whether a schema says of itself that it shows many one by one; see :attr:`BaseSchema.one_by_one`.

    :param schema: The schema.
    """
    return vars(schema).get("one_by_one", False)


def schema_of(model: Any, mapping: Mapping[Any, type[Schema]]) -> Schema:
    """Return the schema of a model.

    :param model: The model.
    :param mapping: Schemas by model; ours is taken where it lacks one.
    """
    schema = mapping.get(model) or serializer_mapping.get(model, BaseSchema)
    if not is_one_by_one(schema):
        return schema()
    return _made.get(schema) or _made.setdefault(schema, schema())
