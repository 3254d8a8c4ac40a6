"""Views of Flask-Admin, for those who run the service: to look, and to change what no bytes depend on.

Only a location is created here, or deleted while nothing uses it. A bucket's limits and lock can be changed; what
remains is for the REST API and the tasks, which keep rows and bytes together.
"""

from __future__ import annotations

from invenio_i18n import lazy_gettext

from ..models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from .buckets import BucketModelView
from .files import FileInstanceModelView
from .locations import LocationModelView, require_slug
from .multiparts import MultipartObjectModelView
from .objects import ObjectModelView

_FILES = lazy_gettext("Files")

location_adminview = {
    "model": Location,
    "modelview": LocationModelView,
    "name": lazy_gettext("Location"),
    "category": _FILES,
}
bucket_adminview = {
    "model": Bucket,
    "modelview": BucketModelView,
    "name": lazy_gettext("Bucket"),
    "category": _FILES,
}
object_adminview = {
    "model": ObjectVersion,
    "modelview": ObjectModelView,
    "name": lazy_gettext("Object Version"),
    "category": _FILES,
}
fileinstance_adminview = {
    "model": FileInstance,
    "modelview": FileInstanceModelView,
    "name": lazy_gettext("File Instance"),
    "category": _FILES,
}
multipartobject_adminview = {
    "model": MultipartObject,
    "modelview": MultipartObjectModelView,
    "name": lazy_gettext("Multipart Object"),
    "category": _FILES,
}

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
