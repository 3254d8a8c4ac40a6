"""Views of Flask-Admin, for those who run the service: to look, and to change what no bytes depend on.

Only a location is created here, or deleted while nothing uses it. A bucket's limits and lock can be changed; what
remains is for the REST API and the tasks, which keep rows and bytes together.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, current_app, flash
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import SecureForm
from flask_admin.model.filters import convert
from invenio_admin.filters import FilterConverter
from invenio_i18n import gettext, lazy_gettext
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError, StatementError
from wtforms import IntegerField, ValidationError

from ..http.arguments import NUMBER
from ..models import Bucket, FileInstance, Location, MultipartObject, ObjectVersion
from ..models.location import NAME
from ..services.locations import create_location, remove_location
from ..services.transactions import in_transaction
from ..tasks import verify_checksum


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


HEADERS = {
    # Pages of Flask-Admin have scripts and styles in themselves, so that they cannot be forbidden.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "sameorigin",
}
"""Headers of a page, where the application has not its own. Invenio-Admin takes the policy of Flask-Talisman away."""

_LARGEST_PAGE = 1000
"""The largest number of rows on a page."""

_LARGEST_OFFSET = 2**63 - 1
"""The largest number of rows that databases pass over."""


def _guarded(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _is_no_value(error: Exception) -> bool:
    """Tell whether a statement failed because a value was none that its column could have."""
    return isinstance(error, DataError | OverflowError | ValueError) or (
        isinstance(error, StatementError) and not isinstance(error, DBAPIError)
    )


class FilesView(ModelView):
    """What the views have in common: they show, and change nothing."""

    form_base_class = SecureForm
    filter_converter = FilesFilterConverter()
    can_create = False
    can_edit = False
    can_delete = False
    can_view_details = True
    column_display_pk = True
    column_default_sort = ("created", True)
    page_size = 25

    def create_blueprint(self, admin: Any) -> Blueprint:
        """Make the blueprint of the pages, which adds :data:`HEADERS`."""
        blueprint: Blueprint = super().create_blueprint(admin)
        blueprint.after_request(_guarded)
        return blueprint

    def get_one(self, id: str) -> Any:  # noqa: A002 (the name of Flask-Admin)
        """Return a row, ``None`` where there is none of that identifier, or it is no identifier."""
        try:
            return self.session.get(self.model, id)
        except Exception as error:
            if not _is_no_value(error):
                raise
            self.session.rollback()
            return None

    def _get_list_extra_args(self) -> Any:
        """Read the arguments of a list, whose pages have :data:`_LARGEST_PAGE` rows at most."""
        arguments = super()._get_list_extra_args()
        arguments.page_size = min(max(arguments.page_size, 0), _LARGEST_PAGE)
        return arguments

    def get_list(self, page: int, *args: Any, page_size: int | None = None, **kwargs: Any) -> Any:
        """Return how many rows there are, and those of a page; none where a filter has a value that no row can have.

        :param page: Number of the page, from 0 on.
        :param page_size: Number of rows; 0 for all, as an export has it.
        """
        if page_size is None:
            page_size = self.page_size
        page = min(max(page or 0, 0), _LARGEST_OFFSET // (page_size or 1) - 1)
        try:
            return super().get_list(page, *args, page_size=page_size, **kwargs)
        except Exception as error:
            if not _is_no_value(error):
                raise
            self.session.rollback()
            return 0, []

    @action("delete", lazy_gettext("Delete"), lazy_gettext("Are you sure you want to delete selected records?"))
    def action_delete(self, ids: list[str]) -> None:
        """Delete the rows that are there.

        :param ids: Their identifiers.
        """
        super().action_delete([row_id for row_id in ids if self.get_one(row_id) is not None])

    def handle_view_exception(self, exc: Exception) -> bool:
        """Tell what was refused, and of an error of the database no more than that it was one."""
        if isinstance(exc, SQLAlchemyError):
            current_app.logger.error("The administration could not change a row.", exc_info=exc)
            flash(gettext("The database refused the change."), "error")
            return True
        if isinstance(exc, ValueError):
            flash(str(exc), "error")
            return True
        return bool(super().handle_view_exception(exc))


def require_slug(form: Any, field: Any) -> None:
    """Check that a field has the name of a location.

    :param form: The form.
    :param field: The field.
    :raises wtforms.ValidationError: If it has not.
    """
    if not NAME.match(field.data or ""):
        raise ValidationError(gettext("Invalid location name (lower-case alphanumeric + dashes)."))


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


class LocationModelView(FilesView):
    """Locations, to be added, renamed and, while nothing uses them, deleted. The URI of one stays what it is."""

    can_create = True
    can_edit = True
    can_delete = True
    form_columns = ("name", "uri", "default")
    form_args = {"name": {"validators": [require_slug]}}
    column_list = column_details_list = ("name", "uri", "default", "created", "updated")
    column_searchable_list = ("name", "uri")
    column_filters = ("name", "default", "created", "updated")

    def get_edit_form(self) -> Any:
        """Make the form that changes a location: its files would not follow another URI."""
        form = super().get_edit_form()
        if hasattr(form, "uri"):
            del form.uri
        return form

    def create_model(self, form: Any) -> Any:
        """Create a location, which has to keep a file; see :func:`.services.locations.create_location`."""
        try:
            self._ensure_only_default(form, None)
            change = partial(self._on_model_change, form, is_created=True)
            default = form.data.get("default", False)
            location = create_location(form.name.data, form.uri.data or "", default, change)
        except Exception as error:
            return self._refused(error)
        self.after_model_change(form, location, True)
        return location

    def update_model(self, form: Any, model: Any) -> bool:
        """Change a location."""
        try:
            self._ensure_only_default(form, model)
        except ValueError as error:
            return self._refused(error)
        return bool(super().update_model(form, model))

    def delete_model(self, model: Any) -> bool:
        """Delete a location that nothing uses; see :func:`~invenio_files_rest.services.locations.remove_location`."""
        try:
            remove_location(model)
        except Exception as error:
            return self._refused(error)
        self.after_model_delete(model)
        return True

    @action("make_default", lazy_gettext("Make default"))
    def make_default(self, ids: list[str]) -> None:
        """Make a location the default one, and no other.

        :param ids: Its identifier.
        """
        location = self.get_one(ids[0]) if len(ids) == 1 else None
        if location is None:
            flash(gettext("Choose one location."), "error")
            return
        name = location.name
        in_transaction(lambda: Location.make_default(location.id))
        flash(gettext("New buckets are made in %(name)s from now on.", name=name), "success")

    def _refused(self, error: Exception) -> bool:
        self.session.rollback()
        if not self.handle_view_exception(error):
            raise error
        return False

    @staticmethod
    def _ensure_only_default(form: Any, location: Location | None) -> None:
        if location is not None and location.default and form.data.get("default", True) is False:
            if not any(other.default for other in Location.all() if other.id != location.id):
                raise ValueError(gettext("There has to be a default location. 'Make default' in the list changes it."))
            return
        default = Location.get_default()
        if form.data.get("default") and default is not None and not (location is not None and location.default):
            raise ValueError(
                gettext("The location %(name)s is the default. 'Make default' in the list changes that.", name=default)
            )


class BucketModelView(FilesView):
    """Buckets, whose limits and lock can be changed."""

    can_edit = True
    form_columns = ("quota_size", "max_file_size", "locked")
    form_overrides = {"quota_size": SizeField, "max_file_size": SizeField}
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


class ObjectModelView(FilesView):
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


class FileInstanceModelView(FilesView):
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
        known = [str(file.id) for file_id in ids if (file := self.get_one(file_id)) is not None]
        for file_id in known:
            verify_checksum.delay(file_id)
        flash(gettext("The verification of %(count)s file(s) is on its way.", count=len(known)), "success")


class MultipartObjectModelView(FilesView):
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


location_adminview = {"model": Location, "modelview": LocationModelView, "category": lazy_gettext("Files")}
bucket_adminview = {"model": Bucket, "modelview": BucketModelView, "category": lazy_gettext("Files")}
object_adminview = {"model": ObjectVersion, "modelview": ObjectModelView, "category": lazy_gettext("Files")}
fileinstance_adminview = {"model": FileInstance, "modelview": FileInstanceModelView, "category": lazy_gettext("Files")}
multipartobject_adminview = {
    "model": MultipartObject,
    "modelview": MultipartObjectModelView,
    "category": lazy_gettext("Files"),
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
