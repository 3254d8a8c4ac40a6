"""Locations."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import flash
from flask_admin.actions import action
from invenio_i18n import gettext, lazy_gettext
from markupsafe import Markup
from wtforms import ValidationError

from ..models import Bucket, Location
from ..models.location import NAME
from ..services.locations import create_location, remove_location
from ..services.transactions import in_transaction
from .base import FilesView
from .formatting import link, path


def require_slug(form: Any, field: Any) -> None:
    """Check that a field has the name of a location.

    :param form: The form.
    :param field: The field.
    :raises wtforms.ValidationError: If it has not.
    """
    if not NAME.match(field.data or ""):
        raise ValidationError(gettext("Invalid location name (lower-case alphanumeric + dashes)."))


def _buckets(view: Any, context: Any, row: Any, name: str) -> Markup:
    return link(view.list_url(Bucket, {Location.name: row.name}), gettext("Buckets"))


class LocationModelView(FilesView):
    """Locations, to be added, renamed and, while nothing uses them, deleted. The URI of one stays what it is."""

    summary = lazy_gettext("Where files are stored.")
    can_create = True
    can_edit = True
    can_delete = True
    form_columns = ("name", "uri", "default")
    form_args = {"name": {"validators": [require_slug]}}
    column_list = column_details_list = ("name", "uri", "default", "buckets", "created", "updated")
    column_formatters = {"buckets": _buckets, "uri": path}
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
