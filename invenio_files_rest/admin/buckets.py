"""Buckets."""

from __future__ import annotations

from typing import Any

from invenio_i18n import gettext, lazy_gettext
from markupsafe import Markup
from wtforms import IntegerField

from ..http.arguments import NUMBER
from ..models import Location, ObjectVersion
from .base import FilesView
from .formatting import exact_size, identifier, link, size

_SIZES = ("size", "quota_size", "max_file_size")


class SizeField(IntegerField):
    """A number of bytes in the digits 0 to 9. Python reads others, too: ``1_000``, digits of other scripts."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the number.

        :raises ValueError: If it is none.
        """
        if valuelist and valuelist[0] and not NUMBER.fullmatch(valuelist[0]):
            self.data = None
            raise ValueError(gettext("Not a whole number in the digits 0 to 9."))
        super().process_formdata(valuelist)


def _location(view: Any, context: Any, row: Any, name: str) -> Markup:
    return link(view.details_url(Location, row.location.id), row.location.name)


def _objects(view: Any, context: Any, row: Any, name: str) -> Markup:
    return link(view.list_url(ObjectVersion, {ObjectVersion.bucket_id: row.id}), gettext("Objects"))


class BucketModelView(FilesView):
    """Buckets, whose limits and lock can be changed."""

    summary = lazy_gettext("What keeps objects together: their sizes, limits and locks.")
    can_edit = True
    form_columns = ("quota_size", "max_file_size", "locked")
    form_overrides = {"quota_size": SizeField, "max_file_size": SizeField}
    form_args = {
        "quota_size": {"label": lazy_gettext("Quota"), "description": lazy_gettext("In bytes. Empty for no limit.")},
        "max_file_size": {
            "label": lazy_gettext("Largest file"),
            "description": lazy_gettext("In bytes. Empty for no limit."),
        },
    }
    column_list = (
        "id",
        "objects",
        "location.name",
        "default_storage_class",
        "size",
        "quota_size",
        "max_file_size",
        "locked",
        "deleted",
        "created",
    )
    column_details_list = (*column_list, "updated")
    column_formatters = {
        "id": identifier,
        "objects": _objects,
        "location.name": _location,
        **dict.fromkeys(_SIZES, size),
    }
    column_formatters_detail = {"objects": _objects, "location.name": _location, **dict.fromkeys(_SIZES, exact_size)}
    column_sortable_list = ("size", "quota_size", "locked", "deleted", "created", "updated")
    column_filters = ("id", "location.name", "size", "locked", "deleted", "created", "updated")
