"""Multipart uploads."""

from __future__ import annotations

from invenio_i18n import lazy_gettext

from ..models import Bucket
from .base import FilesView
from .formatting import exact_size, identifier, path, size, to_details


class MultipartObjectModelView(FilesView):
    """Multipart uploads that are not merged yet."""

    summary = lazy_gettext("Uploads in parts that are not finished.")
    column_list = ("upload_id", "bucket_id", "key", "size", "chunk_size", "completed", "created")
    column_details_list = (*column_list, "updated")
    column_formatters = {
        "upload_id": identifier,
        "bucket_id": to_details(Bucket, "bucket_id"),
        "key": path,
        "size": size,
        "chunk_size": size,
    }
    column_formatters_detail = {
        "bucket_id": to_details(Bucket, "bucket_id", str),
        "size": exact_size,
        "chunk_size": exact_size,
    }
    column_searchable_list = ("key",)
    column_sortable_list = ("key", "size", "completed", "created", "updated")
    column_filters = ("upload_id", "bucket_id", "key", "completed", "created", "updated")
