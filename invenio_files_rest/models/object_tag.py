"""Tags of object versions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from invenio_db import db
from sqlalchemy_utils.types import UUIDType

from .object_version import ObjectVersion, as_object_version_id
from .tags import TagMixin, tag_key_column


class ObjectVersionTag(db.Model, TagMixin):
    """A tag of a version of an object."""

    __tablename__ = "files_objecttags"

    _owner = "version_id"
    _owner_model = ObjectVersion

    version_id = db.Column(
        UUIDType,
        db.ForeignKey(ObjectVersion.version_id, ondelete="CASCADE"),
        default=uuid.uuid4,
        nullable=False,
        primary_key=True,
        index=True,
    )
    """Identifier of the version."""

    key = tag_key_column()
    """Key of the tag."""

    object_version = db.relationship(ObjectVersion, back_populates="tags")
    """The version."""

    @classmethod
    def create(cls, object_version: ObjectVersion | uuid.UUID, key: str, value: str) -> ObjectVersionTag:
        """Add a tag to a version.

        :param object_version: The version, or its identifier.
        :param key: Key of the tag, unique within the version.
        :param value: Value of the tag.
        :raises sqlalchemy.exc.IntegrityError: If the version has a tag with this key.
        """
        return cls._create(as_object_version_id(object_version), key, value)

    @classmethod
    def create_or_update(cls, object_version: ObjectVersion | uuid.UUID, key: str, value: str) -> ObjectVersionTag:
        """Add a tag to a version, or change its value.

        :param object_version: The version, or its identifier.
        :param key: Key of the tag.
        :param value: Value of the tag.
        """
        return cls._create_or_update(as_object_version_id(object_version), key, value)

    @classmethod
    def get(cls, object_version: ObjectVersion | uuid.UUID, key: str) -> ObjectVersionTag | None:
        """Return a tag of a version, or ``None`` if the version has no such tag.

        :param object_version: The version, or its identifier.
        :param key: Key of the tag.
        """
        return cls._get(as_object_version_id(object_version), key)

    @classmethod
    def get_value(cls, object_version: ObjectVersion | uuid.UUID, key: str) -> str | None:
        """Return the value of a tag of a version, or ``None`` if the version has no such tag.

        :param object_version: The version, or its identifier.
        :param key: Key of the tag.
        """
        return cls._get_value(as_object_version_id(object_version), key)

    @classmethod
    def replace(cls, object_version: ObjectVersion | uuid.UUID, tags: Mapping[str, str]) -> None:
        """Give a version other tags instead of those that it has.

        :param object_version: The version, or its identifier; the transaction has locked its bucket.
        :param tags: Its new tags.
        """
        cls._replace(as_object_version_id(object_version), tags)

    @classmethod
    def delete(cls, object_version: ObjectVersion | uuid.UUID, key: str | None = None) -> None:
        """Delete a tag of a version, or all its tags.

        :param object_version: The version, or its identifier.
        :param key: Key of the tag, which need not exist; ``None`` for all tags.
        """
        cls._delete(as_object_version_id(object_version), key)

    def copy(self, object_version: ObjectVersion | uuid.UUID | None = None, key: str | None = None) -> ObjectVersionTag:
        """Copy this tag to a version.

        :param object_version: The version, or its identifier; by default the version of this tag.
        :param key: Key of the copy; by default the key of this tag.
        :raises sqlalchemy.exc.IntegrityError: If the version has a tag with this key.
        """
        owner = self.version_id if object_version is None else as_object_version_id(object_version)
        return type(self)._create(owner, key or self.key, self.value)
