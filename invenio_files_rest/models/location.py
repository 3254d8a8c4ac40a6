"""Where files are kept: a name, and the URI of a folder or of a storage system."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy.orm import validates

from ..storage.paths import folders_to, lies_within, make_path
from .base import Timestamp

_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}\Z")


class Location(db.Model, Timestamp):
    """A place for files. A bucket belongs to one."""

    __tablename__ = "files_location"

    id = db.Column(db.Integer, primary_key=True, autoincrement=True)
    """Internal identifier."""

    name = db.Column(db.String(20), unique=True, nullable=False)
    """External identifier: 1 to 20 lower-case letters, digits and dashes, a letter first."""

    uri = db.Column(db.String(255), nullable=False)
    """URI of the location, or the path of a folder."""

    default = db.Column(db.Boolean(name="default"), nullable=False, default=False)
    """Whether new buckets are made here."""

    @validates("name")
    def validate_name(self, key: str, name: str) -> str:
        """Check the name.

        :raises ValueError: Where it is none.
        """
        if not _NAME.match(name):
            raise ValueError("Invalid location name (lower-case alphanumeric + dashes).")
        return name

    @validates("uri")
    def validate_uri(self, key: str, uri: str) -> str:
        """Check that the URI is there, and leaves room for those of the files.

        :raises ValueError: Where it does not.
        """
        if not uri:
            raise ValueError("The URI of a location is empty.")
        if len(uri) > self._longest_uri():
            raise ValueError(
                f"The URI of a location has at most {self._longest_uri()} characters, not {len(uri)}: "
                "those of its files are longer, and have to be kept, too."
            )
        return uri

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
        """Return the location of a name, ``None`` where there is none.

        :param name: Name of the location.
        """
        return cls.query.filter_by(name=name).one_or_none()

    @classmethod
    def get_default(cls) -> Location | None:
        """Return the default location, ``None`` where there is none.

        Of several it is the one that was added last, since a new default is how the documented migration of data to a
        new location begins.
        """
        return cls.query.filter_by(default=True).order_by(cls.id.desc()).first()

    @classmethod
    def of_uri(cls, uri: str | None, locations: Iterable[Any] | None = None) -> Any:
        """Return the location that a file lies in, by its URI; the innermost where one lies in another.

        :param uri: URI of the file.
        :param locations: The locations to choose from, or whatever else has a ``uri``; all where none are given.
        :returns: The location; ``None`` where the file has no URI, or is a link to what others keep.
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
        return list(cls.query.order_by(cls.id))

    @classmethod
    def rows(cls) -> list[Any]:
        """Return the locations as plain rows of identifier, name and URI, which outlive a transaction."""
        return db.session.query(cls.id, cls.name, cls.uri).order_by(cls.id).all()

    def __repr__(self) -> str:
        """Return the name."""
        return str(self.name)
