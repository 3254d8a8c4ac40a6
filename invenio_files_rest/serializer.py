"""The documented names of :mod:`invenio_files_rest.http.schemas` and :mod:`invenio_files_rest.http.json_response`."""

from .http.json_response import json_serializer
from .http.schemas import (
    BaseSchema,
    BucketSchema,
    MultipartObjectSchema,
    ObjectVersionSchema,
    PartSchema,
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
