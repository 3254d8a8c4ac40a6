"""What the tags of buckets and of object versions have in common."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from invenio_db import db
from sqlalchemy import String, delete, insert, select

from .base import ExactText, Mixin, loaded


def tag_key_column() -> Any:
    """Return the column of a tag's key."""
    return db.Column(ExactText(255, String(255)), primary_key=True, nullable=False)


class TagMixin(Mixin):
    """A tag: a key, unique within its owner, and a value.

    ``_owner_model`` is the model of the owner and ``_owner`` the name of the column that refers to it. The owner has
    its tags in ``tags``.
    """

    key: Any
    _owner: str
    _owner_model: Any

    value = db.Column(db.Text, nullable=False)
    """Value of the tag."""

    @classmethod
    def _is_of(cls, owner_id: Any) -> Any:
        return getattr(cls, cls._owner) == owner_id

    @classmethod
    def _refresh_owner(cls, owner_id: Any) -> None:
        if owner := loaded(cls._owner_model, owner_id):
            db.session.expire(owner, ["tags"])

    @classmethod
    def of(cls, owner_id: uuid.UUID) -> dict[str, str]:
        """Return all tags as they are now.

        :param owner_id: Identifier of what has them.
        """
        tags = db.session.execute(select(cls.key, cls.value).where(cls._is_of(owner_id)))
        return dict(tags.tuples().all())

    @classmethod
    def _create(cls, owner_id: Any, key: str, value: str) -> Any:
        with db.session.begin_nested():
            tag = cls(**{cls._owner: owner_id, "key": key, "value": value})
            db.session.add(tag)
        cls._refresh_owner(owner_id)
        return tag

    @classmethod
    def _create_or_update(cls, owner_id: Any, key: str, value: str) -> Any:
        tag = cls._get(owner_id, key)
        if tag is None:
            return cls._create(owner_id, key, value)
        tag.value = value
        return tag

    @classmethod
    def _get(cls, owner_id: Any, key: str) -> Any:
        return db.session.execute(select(cls).where(cls._is_of(owner_id), cls.key == key)).scalar_one_or_none()

    @classmethod
    def _get_value(cls, owner_id: Any, key: str) -> str | None:
        tag = cls._get(owner_id, key)
        return tag.value if tag else None

    @classmethod
    def _replace(cls, owner_id: Any, tags: Mapping[str, str]) -> None:
        db.session.execute(delete(cls).where(cls._is_of(owner_id)))
        if tags:
            rows = [{cls._owner: owner_id, "key": key, "value": value} for key, value in tags.items()]
            db.session.execute(insert(cls), rows)
        cls._refresh_owner(owner_id)

    @classmethod
    def _delete(cls, owner_id: Any, key: str | None = None) -> None:
        tags = delete(cls).where(cls._is_of(owner_id))
        db.session.execute(tags if key is None else tags.where(cls.key == key))
        cls._refresh_owner(owner_id)
