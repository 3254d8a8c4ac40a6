"""Views of Flask-Admin, for those who run the service: to look, and to change what no bytes depend on.

Only a location is created here. A bucket's limits and lock can be changed; what remains is for the REST API and the
tasks, which keep rows and bytes together.
"""

from __future__ import annotations

from typing import Any

from flask import flash
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.model.filters import convert
from invenio_admin.filters import FilterConverter
from invenio_i18n import gettext, lazy_gettext

from .models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from .tasks import verify_checksum


class FilesFilterConverter(FilterConverter):
    """Finds the filters that fit this module's column types."""

    @convert("utctimestamp")
    def timestamp_filters(self, column: Any, name: str, **kwargs: Any) -> list[Any]:
        """Return the filters of a time stamp.

        :param column: The column.
        :param name: Its label.
        """
        return [kind(column, name, **kwargs) for kind in self.datetime_filters]

    @convert("exacttext")
    def text_filters(self, column: Any, name: str, **kwargs: Any) -> list[Any]:
        """Return the filters of a text.

        :param column: The column.
        :param name: Its label.
        """
        return [kind(column, name, **kwargs) for kind in self.strings]


class FilesView(ModelView):
    """What the views have in common: they show, and change nothing."""

    filter_converter = FilesFilterConverter()
    can_create = False
    can_edit = False
    can_delete = False
    can_view_details = True
    column_display_pk = True
    column_default_sort = ("created", True)
    page_size = 25


class LocationView(FilesView):
    """Locations, to be added and changed. Files stay where they are: their own rows say where."""

    can_create = True
    can_edit = True
    form_columns = ("name", "uri", "default")
    column_list = column_details_list = ("name", "uri", "default", "created", "updated")
    column_searchable_list = ("name", "uri")
    column_filters = ("name", "default", "created", "updated")


class BucketView(FilesView):
    """Buckets, whose limits and lock can be changed."""

    can_edit = True
    form_columns = ("quota_size", "max_file_size", "locked")
    column_list = column_details_list = (
        "id",
        "location.name",
        "default_storage_class",
        "size",
        "quota_size",
        "max_file_size",
        "locked",
        "deleted",
        "created",
        "updated",
    )
    column_labels = {"id": "ID", "location.name": lazy_gettext("Location")}
    column_sortable_list = ("size", "quota_size", "locked", "deleted", "created", "updated")
    column_filters = ("id", "location.name", "size", "locked", "deleted", "created", "updated")


class ObjectVersionView(FilesView):
    """Versions of objects."""

    column_list = column_details_list = (
        "bucket_id",
        "key",
        "version_id",
        "is_head",
        "file.id",
        "file.size",
        "file.checksum",
        "created",
        "updated",
    )
    column_labels = {
        "bucket_id": lazy_gettext("Bucket"),
        "version_id": lazy_gettext("Version"),
        "file.id": lazy_gettext("File"),
        "file.size": lazy_gettext("Size"),
        "file.checksum": lazy_gettext("Checksum"),
    }
    column_searchable_list = ("key",)
    column_sortable_list = ("key", "is_head", "file.size", "created", "updated")
    column_filters = ("bucket_id", "version_id", "key", "is_head", "file.id", "created", "updated")


class FileInstanceView(FilesView):
    """Files, whose checksums can be verified."""

    column_list = column_details_list = (
        "id",
        "uri",
        "storage_class",
        "size",
        "checksum",
        "readable",
        "writable",
        "last_check",
        "last_check_at",
        "created",
        "updated",
    )
    column_labels = {"id": "ID", "uri": "URI"}
    column_searchable_list = ("uri", "checksum")
    column_sortable_list = ("uri", "size", "last_check", "last_check_at", "created", "updated")
    column_filters = (
        "id",
        "uri",
        "storage_class",
        "size",
        "checksum",
        "readable",
        "writable",
        "last_check",
        "last_check_at",
        "created",
        "updated",
    )

    @action("verify_checksum", lazy_gettext("Verify checksum"))
    def verify_checksums(self, ids: list[str]) -> None:
        """Send the tasks that compare the checksums of files with their bytes.

        :param ids: Identifiers of the files.
        """
        for file_id in ids:
            verify_checksum.delay(file_id)
        flash(gettext("The verification of %(count)s file(s) is on its way.", count=len(ids)), "success")


class MultipartObjectView(FilesView):
    """Multipart uploads that are not merged yet."""

    column_list = column_details_list = (
        "upload_id",
        "bucket_id",
        "key",
        "size",
        "chunk_size",
        "completed",
        "created",
        "updated",
    )
    column_labels = {"upload_id": lazy_gettext("Upload"), "bucket_id": lazy_gettext("Bucket")}
    column_searchable_list = ("key",)
    column_sortable_list = ("key", "size", "completed", "created", "updated")
    column_filters = ("upload_id", "bucket_id", "key", "completed", "created", "updated")


location_adminview = {"model": Location, "modelview": LocationView, "category": lazy_gettext("Files")}
bucket_adminview = {"model": Bucket, "modelview": BucketView, "category": lazy_gettext("Files")}
object_adminview = {"model": ObjectVersion, "modelview": ObjectVersionView, "category": lazy_gettext("Files")}
fileinstance_adminview = {"model": FileInstance, "modelview": FileInstanceView, "category": lazy_gettext("Files")}
multipartobject_adminview = {
    "model": MultipartObject,
    "modelview": MultipartObjectView,
    "category": lazy_gettext("Files"),
}

__all__ = (
    "bucket_adminview",
    "fileinstance_adminview",
    "location_adminview",
    "multipartobject_adminview",
    "object_adminview",
)
