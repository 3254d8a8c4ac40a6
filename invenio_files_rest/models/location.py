"""Locations, where files are kept: a name, and the URI of a folder or of a storage system."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from flask import current_app
from invenio_db import db
from sqlalchemy import select, update
from sqlalchemy.orm import validates
from sqlalchemy_utils.types import UUIDType

from ..messages import lazy_gettext as _
from ..paths import folders_to, is_allowed, lies_within, make_path
from .base import Timestamp, utcnow

NAME = re.compile(r"[a-z][a-z0-9-]{0,19}\Z")
"""The name of a location."""


class Location(db.Model, Timestamp):
    """A place for files. A bucket belongs to one."""

    __tablename__ = "files_location"

    id = db.Column(db.Integer, primary_key=True, autoincrement=True)
    """Internal identifier."""

    name = db.Column(db.String(20), unique=True, nullable=False)
    """External identifier: 1 to 20 lower-case letters, digits and dashes, beginning with a letter."""

    uri = db.Column(db.String(255), nullable=False)
    """URI of the location, or the path of a folder."""

    default = db.Column(db.Boolean(name="default"), nullable=False, default=False)
    """Whether new buckets are created here."""

    @validates("name")
    def validate_name(self, key: str, name: str) -> str:
        """Check the name.

        :raises ValueError: If it is invalid.
        """
        if not NAME.match(name):
            raise ValueError(_("Invalid location name (lower-case alphanumeric + dashes)."))
        return name

    @validates("uri")
    def validate_uri(self, key: str, uri: str) -> str:
        """Check the URI against ``FILES_REST_LOCATION_URIS``, and that it leaves room for the URIs of files.

        :raises ValueError: If it is empty, too long, or not allowed.
        """
        if uri == self.uri:
            # Unchanged; the row may be older than the setting.
            return uri
        if not uri:
            raise ValueError(_("The URI of a location is empty."))
        if len(uri) > self._longest_uri():
            raise ValueError(
                _(
                    "The URI of a location has at most %(most)s characters, not %(given)s: "
                    "those of its files are longer, and have to be kept, too.",
                    most=self._longest_uri(),
                    given=len(uri),
                )
            )
        allowed = current_app.config["FILES_REST_LOCATION_URIS"] if current_app else []
        if allowed and not is_allowed(uri, [allowed] if isinstance(allowed, str) else allowed):
            raise ValueError(_("The URI %(uri)s is not in one of FILES_REST_LOCATION_URIS, or is relative.", uri=uri))
        return uri

    @property
    def mark(self) -> uuid.UUID | None:
        """Identifier of the mark in its folder; ``None`` if it has none, or was marked under another URI."""
        marking = self.marking
        return marking.mark if marking is not None and marking.uri == self.uri else None

    @classmethod
    def _longest_uri(cls) -> int:
        in_column: int = cls.uri.type.length
        if not current_app:
            return in_column
        config = current_app.config
        split = config["FILES_REST_STORAGE_PATH_DIMENSIONS"], config["FILES_REST_STORAGE_PATH_SPLIT_LENGTH"]
        of_a_file = make_path("/", str(uuid.UUID(int=0)), "data", *split)
        return min(config["FILES_REST_FILE_URI_MAX_LEN"] - len(of_a_file), in_column)

    @classmethod
    def get_by_name(cls, name: str) -> Location | None:
        """Return a location by its name, or ``None`` if there is none.

        :param name: Name of the location.
        """
        location: Location | None = db.session.execute(select(cls).where(cls.name == name)).scalar_one_or_none()
        return location

    @classmethod
    def get_default(cls) -> Location | None:
        """Return the default location, or ``None`` if there is none.

        If there are several, it is the one added last, since the documented migration of data to a new location begins
        by adding a new default.
        """
        newest = select(cls).where(cls.default).order_by(cls.id.desc()).limit(1)
        location: Location | None = db.session.scalars(newest).first()
        return location

    @classmethod
    def of_uri(cls, uri: str | None, locations: Iterable[Any] | None = None) -> Any:
        """Return the location of a file by the file's URI; the innermost one if locations are nested.

        :param uri: URI of the file.
        :param locations: The locations to choose from, or other objects with a ``uri``; by default all locations.
        :returns: The location; ``None`` if the file has no URI, or lies outside all locations.
        """
        holding = [
            location
            for location in (cls.all() if locations is None else locations)
            if uri and lies_within(uri, location.uri)
        ]
        return max(holding, key=lambda location: len(folders_to(location.uri)), default=None)

    @classmethod
    def all(cls) -> list[Location]:
        """Return all locations, in the order in which they were added."""
        return list(db.session.scalars(select(cls).order_by(cls.id)))

    @classmethod
    def rows(cls) -> list[LocationRow]:
        """Return the locations as plain rows, which stay usable after the transaction."""
        query = select(cls.id, cls.name, cls.uri, LocationMark.uri, LocationMark.mark)
        found = db.session.execute(query.outerjoin(LocationMark, LocationMark.location_id == cls.id).order_by(cls.id))
        # Compared in Python, since the columns may have different collations.
        return [LocationRow(id_, name, uri, mark if marked == uri else None) for id_, name, uri, marked, mark in found]

    @classmethod
    def make_default(cls, location_id: int) -> None:
        """Make a location the only default one.

        :param location_id: Identifier of the location.
        """
        # Locked, since of two at the same time both would make their location the default.
        db.session.execute(select(cls.id).order_by(cls.id).with_for_update()).all()
        for default in (False, True):
            condition = (cls.id == location_id) if default else (cls.id != location_id)
            statement = update(cls).where(condition, cls.default != default)
            db.session.execute(statement.values(default=default, updated=utcnow()))

    def __repr__(self) -> str:
        """Return the name."""
        return str(self.name)


class LocationRow(NamedTuple):
    """A location, as a plain row."""

    id: int
    name: str
    uri: str
    mark: uuid.UUID | None
    """See :attr:`Location.mark`."""


class LocationMark(db.Model, Timestamp):
    """The mark in the folder of a location; see :mod:`invenio_files_rest.storage.marks`.

    It has a table of its own, since the published 6.1 writes to the table of locations.
    """

    __tablename__ = "files_location_mark"

    location_id = db.Column(
        db.Integer, db.ForeignKey(Location.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    """Identifier of the location."""

    uri = db.Column(db.String(255), nullable=False)
    """URI that the location had when it was marked."""

    mark = db.Column(UUIDType, nullable=False)
    """Identifier of the mark."""

    location = db.relationship(
        Location, backref=db.backref("marking", uselist=False, cascade="all, delete-orphan", lazy="select")
    )
    """The location."""
