"""The schemas for a record's files: those of Files-REST, with links under the URL of the record."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion, Part
from invenio_files_rest.serializer import (
    BaseSchema,
    BucketSchema,
    MultipartObjectSchema,
    ObjectVersionSchema,
    PartSchema,
)
from marshmallow import post_dump
from marshmallow_utils.context import context_schema

_FILES_URL = "records_files_url"


def _files_url() -> str:
    """Return the URL of the files of the requested record.

    The name of the view of all files, or of one of them, is in the context of the schema.
    """
    context = context_schema.get()
    if _FILES_URL not in context:
        view = context["view_name"].removesuffix("_object_api").removesuffix("_bucket_api")
        arguments = {name: value for name, value in (request.view_args or {}).items() if name != "key"}
        arguments["pid_value"] = getattr(arguments["pid_value"], "value", arguments["pid_value"])
        context[_FILES_URL] = url_for(f".{view}_bucket_api", **arguments, _external=True)
    url: str = context[_FILES_URL]
    return url


class UnderRecord(BaseSchema):
    """Makes the links lead to the URL of the record."""

    def dump_links(self, obj: Any) -> dict[str, str]:
        """Return the links of Files-REST, with the URL of the record's files instead of that of the bucket."""
        url, bucket_id = _files_url(), str(getattr(obj, "bucket_id", None) or obj.id)
        links = super().dump_links(obj)
        return {name: url + link.partition(bucket_id)[2] for name, link in links.items()}


class RecordBucketSchema(UnderRecord, BucketSchema):
    """The bucket of a record."""

    one_by_one = True


class RecordObjectVersionSchema(UnderRecord, ObjectVersionSchema):
    """A version of an object of a record."""

    one_by_one = True

    @post_dump(pass_many=True)
    def wrap(self, data: Any, many: bool, **kwargs: Any) -> Any:
        """Wrap many objects as the contents of the bucket in the context.

        :param data: The serialized object, or many.
        :param many: Whether there are many.
        :param kwargs: Further arguments of marshmallow; not used.
        """
        return {"contents": data, **RecordBucketSchema().dump(context_schema.get()["bucket"])} if many else data


class RecordMultipartObjectSchema(UnderRecord, MultipartObjectSchema):
    """A multipart upload of a record."""

    one_by_one = True


class RecordPartSchema(PartSchema):
    """A part of a multipart upload of a record."""

    @post_dump(pass_many=True)
    def wrap(self, data: Any, many: bool, **kwargs: Any) -> Any:
        """Wrap many parts with the upload in the context.

        :param data: The serialized part, or many.
        :param many: Whether there are many.
        :param kwargs: Further arguments of marshmallow; not used.
        """
        upload = RecordMultipartObjectSchema()
        return {"parts": data, **upload.dump(context_schema.get()["multipart"])} if many else data


serializer_mapping: dict[type, type[BaseSchema]] = {
    Bucket: RecordBucketSchema,
    ObjectVersion: RecordObjectVersionSchema,
    MultipartObject: RecordMultipartObjectSchema,
    Part: RecordPartSchema,
}
"""The schema of each model, for :func:`invenio_files_rest.serializer.json_serializer`."""
