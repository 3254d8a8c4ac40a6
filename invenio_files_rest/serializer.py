"""The documented names of :mod:`invenio_files_rest.http.representation`."""

from .http.representation import (
    BaseSchema,
    BucketSchema,
    MultipartObjectSchema,
    ObjectVersionSchema,
    PartSchema,
    json_serializer,
    serializer_mapping,
)

__all__ = (
    "BaseSchema",
    "BucketSchema",
    "MultipartObjectSchema",
    "ObjectVersionSchema",
    "PartSchema",
    "json_serializer",
    "serializer_mapping",
)
