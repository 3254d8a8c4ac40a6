"""What the views of the administration have in common."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, flash, url_for
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import FilterEqual
from flask_admin.form import SecureForm
from flask_admin.model.filters import convert
from invenio_admin.filters import FilterConverter
from invenio_i18n import gettext, lazy_gettext
from jinja2 import ChoiceLoader, FileSystemLoader
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError, StatementError

from ..http.talisman import keep_referrer_policy
from ..messages import Message, reader_locale, translated
from .formatting import TYPES
from .labels import LABELS


class IdentifierEqual(FilterEqual):
    """Finds rows by an identifier, also by that of a row that they refer to."""

    def clean(self, value: str) -> uuid.UUID:
        """Return the identifier.

        :raises ValueError: If it is none.
        """
        return uuid.UUID(value)


class FilesFilterConverter(FilterConverter):
    """Finds the filters that fit this module's column types."""

    uuid_filters = (IdentifierEqual,)

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


_OWN_SCRIPTS = "script-src 'self'"
_ANY_SCRIPTS = "script-src 'self' 'unsafe-inline'"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "sameorigin",
}
"""Headers of a page, where the application has not its own. Invenio-Admin takes the policy of Flask-Talisman away.

No page has a script in itself, unless ``ADMIN_BASE_TEMPLATE`` names one of others, which may. Flask-Admin has styles in
its pages, so that they cannot be forbidden.
"""

_WITHOUT_SCRIPTS = ("admin/", "invenio_files_rest/admin/")
"""What the names of base templates begin with that have no script in them."""

_HERE = Path(__file__).parent

_LARGEST_OFFSET = 2**63 - 1
"""The largest number of rows that databases pass over."""


def _is_no_value(error: Exception) -> bool:
    """Tell whether a statement failed because a value was none that its column could have."""
    return isinstance(error, DataError | OverflowError | ValueError) or (
        isinstance(error, StatementError) and not isinstance(error, DBAPIError)
    )


class FilesView(ModelView):
    """What the views have in common: they show, and change nothing."""

    summary: Any = None
    """What the view shows, for the home page of the administration."""

    form_base_class = SecureForm
    filter_converter = FilesFilterConverter()
    can_create = False
    can_edit = False
    can_delete = False
    can_view_details = True
    column_display_pk = True
    column_default_sort = ("created", True)
    page_size = 25
    max_page_size = 1000
    """The largest number of rows on a page."""

    list_template = "invenio_files_rest/admin/list.html"
    column_labels = LABELS
    column_type_formatters = column_type_formatters_detail = TYPES

    def create_blueprint(self, admin: Any) -> Blueprint:
        """Make the blueprint of the pages, which adds :data:`HEADERS`, and has templates and a style of its own."""
        self.static_folder, self.static_url_path = str(_HERE / "static"), "/static"
        blueprint: Blueprint = super().create_blueprint(admin)
        templates = FileSystemLoader(_HERE / "templates")
        blueprint.__dict__["jinja_loader"] = ChoiceLoader([templates, *filter(None, [blueprint.jinja_loader])])
        blueprint.after_request(self._guarded)
        return blueprint

    def _guarded(self, response: Response) -> Response:
        for name, value in HEADERS.items():
            if not (self.admin.base_template or "admin/").startswith(_WITHOUT_SCRIPTS):
                value = value.replace(_OWN_SCRIPTS, _ANY_SCRIPTS)
            response.headers.setdefault(name, value)
        keep_referrer_policy(HEADERS["Referrer-Policy"])
        if response.mimetype == "text/html":
            reader_locale()
        return response

    @property
    def extra_css(self) -> list[str]:
        """Styles of a page besides those of Flask-Admin."""
        return [url_for(f"{self.endpoint}.static", filename="admin.css")]

    @property
    def extra_js(self) -> list[str]:
        """Scripts of a page besides those of Flask-Admin."""
        return [url_for(f"{self.endpoint}.static", filename="admin.js")]

    def view_of(self, model: Any) -> Any:
        """Return the view of a model in this administration; ``None`` where it has none.

        :param model: The model.
        """
        return next((view for view in self.admin._views if getattr(view, "model", None) is model), None)

    def details_url(self, model: Any, row_id: Any) -> str | None:
        """Return where the details of a row are shown; ``None`` where they are not.

        :param model: Model of the row.
        :param row_id: Its identifier; ``None`` where there is none.
        """
        view = self.view_of(model)
        if view is None or row_id is None:
            return None
        return str(url_for(f"{view.endpoint}.details_view", id=row_id))

    def list_url(self, model: Any, values: Mapping[Any, Any]) -> str | None:
        """Return where the rows are listed that have some values; ``None`` where they are not.

        :param model: Model of the rows.
        :param values: The values, by attributes of models that have a filter.
        """
        view = self.view_of(model)
        if view is None:
            return None
        query = {}
        for number, (attribute, value) in enumerate(values.items()):
            index = next(
                index
                for index, offered in enumerate(view._filters)
                if isinstance(offered, FilterEqual) and offered.column is attribute.property.columns[0]
            )
            query[f"flt{number}_{view.get_filter_arg(index, view._filters[index])}"] = value
        return str(url_for(f"{view.endpoint}.index_view", **query))

    def search_placeholder(self) -> str | None:
        """Return the labels of the columns that are searched."""
        return ", ".join(translated(LABELS[name]) for name in self.column_searchable_list or ()) or None

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
        """Read the arguments of a list, whose pages have :attr:`max_page_size` rows at most."""
        arguments = super()._get_list_extra_args()
        arguments.page_size = min(max(arguments.page_size, 0), self.max_page_size)
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
            # The first argument of others, such as UnicodeEncodeError, is no message.
            said = exc.args[0] if exc.args and isinstance(exc.args[0], Message) else str(exc)
            flash(translated(said), "error")
            return True
        return bool(super().handle_view_exception(exc))
