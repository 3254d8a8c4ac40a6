"""Files."""

from __future__ import annotations

from typing import Any

from flask import flash
from flask_admin.actions import action
from invenio_i18n import gettext, lazy_gettext
from markupsafe import Markup

from ..messages import lazy_ngettext, translated
from ..models import FileInstance, ObjectVersion
from .base import FilesView
from .formatting import badge, checksum, exact_size, identifier, link, path, size
from .verification import verification, verify_in_background


def _objects(view: Any, context: Any, row: Any, name: str) -> Markup:
    return link(view.list_url(ObjectVersion, {FileInstance.id: row.id}), gettext("Objects"))


def _last_check(view: Any, context: Any, row: Any, name: str) -> Markup:
    """Show the outcome of the last verification."""
    if not row.readable:
        return badge(gettext("not complete"), "default")
    if row.last_check is False:
        return badge(gettext("damaged"), "danger")
    if row.last_check_at is None:
        return badge(gettext("not verified yet"), "default")
    return badge(gettext("good"), "success") if row.last_check else badge(gettext("could not be read"), "warning")


class FileInstanceModelView(FilesView):
    """Files, whose checksums can be verified."""

    summary = lazy_gettext("What lies in storage, and whether it was as it should be when it was last verified.")
    column_list = (
        "id",
        "objects",
        "uri",
        "storage_class",
        "size",
        "checksum",
        "readable",
        "writable",
        "last_check",
        "last_check_at",
        "created",
    )
    column_details_list = (*column_list, "updated")
    column_formatters = {
        "id": identifier,
        "objects": _objects,
        "uri": path,
        "size": size,
        "checksum": checksum,
        "last_check": _last_check,
    }
    column_formatters_detail = {"objects": _objects, "size": exact_size, "last_check": _last_check}
    list_template = "invenio_files_rest/admin/files.html"
    column_searchable_list = ("uri", "checksum")
    column_sortable_list = ("uri", "size", "last_check", "last_check_at", "created", "updated")
    column_filters = tuple(name for name in column_details_list if name != "objects")

    def render(self, template: str, **kwargs: Any) -> Any:
        """Make a page, which tells what this process verifies."""
        return super().render(template, verification=verification, **kwargs)

    @action("verify_checksum", lazy_gettext("Verify checksum"))
    def verify_checksums(self, ids: list[str]) -> None:
        """Have the checksums of files compared with their bytes, in the background.

        :param ids: Identifiers of the files.
        """
        known = [str(file.id) for file_id in ids if (file := self.get_one(file_id)) is not None]
        verify_in_background(known)
        flash(
            translated(
                lazy_ngettext(
                    "The verification of %(num)s file is on its way. 'Last Check' has the outcome.",
                    "The verification of %(num)s files is on its way. 'Last Check' has the outcome.",
                    len(known),
                )
            ),
            "success",
        )
