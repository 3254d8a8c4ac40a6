"""How objects look, from the schemas that serialize them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, get_type_hints

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from ..arguments import of_a_key
from ..schemas import BucketSchema, MultipartObjectSchema, ObjectVersionSchema, PartSchema

TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
SIZE = {"type": "integer", "minimum": 0}
SIZE_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
UUID = {"type": "string", "format": "uuid"}
TIME = {"type": "string", "format": "date-time"}
LINKS = {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}
TAGS = {"type": "object", "additionalProperties": TEXT}


def ref(name: str) -> dict[str, Any]:
    """Return the reference to a schema.

    :param name: Its name.
    """
    return {"$ref": f"#/components/schemas/{name}"}


def several(name: str) -> dict[str, Any]:
    """Return the schema of an array.

    :param name: Name of the schema of its items.
    """
    return {"type": "array", "items": ref(name)}


def record(members: Mapping[str, Any], optional: Collection[str] = ()) -> dict[str, Any]:
    """Return the schema of an object.

    :param members: Schemas of its members.
    :param optional: Names of those that may be missing.
    """
    needed = [name for name in members if name not in optional]
    return {"type": "object", "properties": dict(members), **({"required": needed} if needed else {})}


class Plugin(MarshmallowPlugin):
    """apispec's, which knows our fields."""

    class Converter(OpenAPIConverter):
        """Knows what methods of schemas return, what needs no value, and what a key may have."""

        def init_attribute_functions(self) -> None:
            """Add what ours tell."""
            super().init_attribute_functions()
            self.add_attribute_function(_returned)
            self.add_attribute_function(_needs_no_value)
            self.add_attribute_function(_is_of_a_key)


def _shown_fields(schema: Schema) -> dict[str, fields.Field]:
    """Return the fields of which a schema shows something: a method may return nothing by design."""
    return {name: field for name, field in schema.dump_fields.items() if _return_type(field) is not Any}


def _return_type(field: fields.Field) -> Any:
    if not isinstance(field, fields.Method):
        return None
    return get_type_hints(getattr(type(field.parent), str(field.serialize_method_name)))["return"]


def _returned(self: Any, field: fields.Field, **kwargs: Any) -> dict[str, Any]:
    if _return_type(field) != dict[str, str]:
        return {}
    return dict(LINKS if field.name == "links" else TAGS)


def _needs_no_value(self: Any, field: fields.Field, **kwargs: Any) -> dict[str, Any]:
    return dict(TEXT) if type(field) is fields.Raw else {}


def _is_of_a_key(self: Any, field: fields.Field, **kwargs: Any) -> dict[str, Any]:
    return {"pattern": r"^[^\u0000]*$"} if of_a_key in field.validators else {}


def properties(described: Mapping[str, fields.Field], converter: Any) -> dict[str, Any]:
    """Return the schemas of members of an object.

    :param described: Their fields, by name.
    :param converter: Converter of the document's plugin.
    """
    return {field.data_key or name: converter.field2property(field) for name, field in described.items()}


def add_schemas(spec: APISpec, converter: Any) -> None:
    """Describe every object that an answer can have.

    :param spec: The description.
    :param converter: Converter of its plugin.
    """
    shown: dict[str, dict[str, Any]] = {}
    described: dict[str, type[Schema]] = {
        "Bucket": BucketSchema,
        "MultipartObject": MultipartObjectSchema,
        "ObjectVersion": ObjectVersionSchema,
        "Part": PartSchema,
    }
    for name, schema in described.items():
        shown[name] = record(properties(_shown_fields(schema()), converter))
        shown[name]["description"] = str(schema.__doc__).splitlines()[0]
    shown["DirectPart"] = record(
        {"part_number": SIZE, "start_byte": SIZE, "end_byte": SIZE, "url": TEXT, "expires": TIME}
    )
    # Not required: there only where clients send parts to the object store.
    shown["MultipartObject"]["properties"]["direct"] = several("DirectPart")
    bucket, links = shown["Bucket"]["properties"], {"links": LINKS}
    shown["BucketPage"] = record({"contents": several("Bucket"), **links})
    shown["BucketContents"] = record(
        {"contents": several("ObjectVersion"), **bucket, "common_prefixes": {"type": "array", "items": TEXT}},
        optional=("common_prefixes",),
    )
    shown["ExtractedObject"] = record(
        {"key": TEXT, "version_id": UUID, "size": SIZE, "checksum": TEXT, **links},
    )
    shown["ExtractedContents"] = record({"contents": several("ExtractedObject"), **bucket})
    shown["MultipartParts"] = record(
        {"parts": several("Part"), **shown["MultipartObject"]["properties"]}, optional=("direct",)
    )
    shown["Tags"] = record({"tags": TAGS})
    shown["Upload"] = record(
        {
            "id": UUID,
            "key": TEXT_OR_NULL,
            "protocol": {"enum": ["tus", "draft"]},
            "status": TEXT,
            "reason": TEXT_OR_NULL,
            "offset": SIZE_OR_NULL,
            "length": SIZE_OR_NULL,
            "expires": TIME,
            **links,
        }
    )
    link = {
        "id": UUID,
        "kind": {"enum": ["version", "object", "prefix", "upload"]},
        "key": TEXT,
        "prefix": TEXT,
        "version_id": UUID,
        "note": TEXT,
        "created_by": {"type": "integer"},
        "created": TIME,
        "expires": TIME,
        **links,
    }
    shown["ShareLink"] = record(link, optional=("key", "prefix", "version_id"))
    shown["NewShareLink"] = record({**link, "url": TEXT}, optional=("key", "prefix", "version_id"))
    shown["ShareLinks"] = record({"contents": {"type": "array", "items": ref("ShareLink")}, **links})
    status = {"status": {"type": "integer"}, "message": TEXT}
    shown["Status"] = record(status)
    errors = {"type": "array", "items": record({"field": TEXT_OR_NULL, "message": TEXT})}
    shown["Error"] = record({**status, "errors": errors}, optional=("errors",))
    offsets = {"expected-offset": SIZE_OR_NULL, "provided-offset": SIZE_OR_NULL}
    shown["Problem"] = record({**status, "type": TEXT, "title": TEXT, **offsets}, optional=offsets)
    for name, component in shown.items():
        spec.components.schema(name, component)
