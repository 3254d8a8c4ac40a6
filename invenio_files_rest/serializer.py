"""The documented names of :mod:`invenio_files_rest.http.schemas` and :mod:`invenio_files_rest.http.json_response`.

The models are here too, since Invenio-Records-Files 4.0 imports them from here.
"""

from .http.json_response import json_serializer
from .http.schemas import (
    BaseSchema,
    BucketSchema,
    MultipartObjectSchema,
    ObjectVersionSchema,
    PartSchema,
    serializer_mapping,
)
from .models import Bucket, MultipartObject, ObjectVersion, Part  # noqa: F401 (see above)

__all__ = (
    "BaseSchema",
    "BucketSchema",
    "MultipartObjectSchema",
    "ObjectVersionSchema",
    "PartSchema",
    "json_serializer",
    "serializer_mapping",
)
