"""Versions of objects."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, request
from flask_admin.base import expose
from invenio_i18n import gettext, lazy_gettext
from markupsafe import Markup

from ..http.arguments import NOT_FOUND
from ..models import Bucket, FileInstance, ObjectVersion
from ..views.object import ObjectResource
from .base import FilesView
from .formatting import badge, checksum, exact_size, identifier, link, path, size, to_details


def _links(view: Any, context: Any, row: Any, name: str) -> Markup:
    same_key = {ObjectVersion.bucket_id: row.bucket_id, ObjectVersion.key: row.key}
    links = [link(view.list_url(ObjectVersion, same_key), gettext("Versions"))]
    if row.file_id is None:
        links.append(badge(gettext("deleted"), "warning"))
    else:
        links.append(link(view.get_url(".download", id=row.version_id), gettext("Download")))
    return Markup(" ").join(links)


class ObjectModelView(FilesView):
    """Versions of objects."""

    summary = lazy_gettext("What people store and fetch, with all versions.")
    column_list = (
        "bucket_id",
        "key",
        "links",
        "version_id",
        "is_head",
        "file.id",
        "file.size",
        "file.checksum",
        "created",
    )
    column_details_list = (*column_list, "updated")
    column_formatters = {
        "bucket_id": to_details(Bucket, "bucket_id"),
        "key": path,
        "links": _links,
        "version_id": identifier,
        "file.id": to_details(FileInstance, "file_id"),
        "file.size": size,
        "file.checksum": checksum,
    }
    column_formatters_detail = {
        "bucket_id": to_details(Bucket, "bucket_id", str),
        "links": _links,
        "file.id": to_details(FileInstance, "file_id", str),
        "file.size": exact_size,
    }
    column_searchable_list = ("key",)
    column_sortable_list = ("key", "is_head", "file.size", "created", "updated")
    column_filters = ("bucket_id", "version_id", "key", "is_head", "file.id", "created", "updated")

    @expose("/download/")
    def download(self) -> Response:
        """Send the file of a version to whoever may read it over REST, for the browser to save."""
        version = self.get_one(request.args.get("id", ""))
        if version is None or version.bucket.deleted:
            abort(404, description=NOT_FOUND)
        ObjectResource.check_object_permission(version)
        return ObjectResource.send_object(version.bucket, version, as_attachment=True)
