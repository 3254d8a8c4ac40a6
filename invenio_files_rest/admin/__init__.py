"""Views of Flask-Admin, for those who run the service: to look, and to change what no bytes depend on.

Only a location is created here, or deleted while nothing uses it. A bucket's limits and lock can be changed; what
remains is for the REST API and the tasks, which keep rows and bytes together.
"""

from __future__ import annotations

from typing import Any

from invenio_i18n import lazy_gettext

from ..models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from .buckets import BucketModelView
from .files import FileInstanceModelView
from .locations import LocationModelView, require_slug
from .multiparts import MultipartObjectModelView
from .objects import ObjectModelView


def _described(model: Any, modelview: Any, name: Any) -> dict[str, Any]:
    """Return what Invenio-Admin takes for a view."""
    return {"model": model, "modelview": modelview, "name": name, "category": lazy_gettext("Files")}


location_adminview = _described(Location, LocationModelView, lazy_gettext("Location"))
bucket_adminview = _described(Bucket, BucketModelView, lazy_gettext("Bucket"))
object_adminview = _described(ObjectVersion, ObjectModelView, lazy_gettext("Object Version"))
fileinstance_adminview = _described(FileInstance, FileInstanceModelView, lazy_gettext("File Instance"))
multipartobject_adminview = _described(MultipartObject, MultipartObjectModelView, lazy_gettext("Multipart Object"))

__all__ = (
    "BucketModelView",
    "FileInstanceModelView",
    "LocationModelView",
    "MultipartObjectModelView",
    "ObjectModelView",
    "bucket_adminview",
    "fileinstance_adminview",
    "location_adminview",
    "multipartobject_adminview",
    "object_adminview",
    "require_slug",
)
