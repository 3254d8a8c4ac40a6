"""What grants of Invenio-Access name: on which buckets somebody was allowed an action."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from invenio_access.models import ActionRoles, ActionSystemRoles, ActionUsers
from invenio_db import db
from sqlalchemy import select, union


def granted_arguments(needs: Collection[Any], actions: Collection[str], limit: int) -> set[str | None]:
    """Return the arguments of grants, in one statement.

    :param needs: What an identity provides, as needs of Flask-Principal.
    :param actions: Names of the actions.
    :param limit: Largest number of arguments to return.
    :returns: The arguments, ``None`` among them where a grant has none.
    """
    held: dict[str, list[Any]] = {}
    for need in needs:
        held.setdefault(need.method, []).append(need.value)
    users = [int(value) for value in held.get("id", []) if str(value).isdecimal()]
    columns = (
        (ActionUsers, ActionUsers.user_id, users),
        (ActionRoles, ActionRoles.role_id, held.get("role", [])),
        (ActionSystemRoles, ActionSystemRoles.role_name, held.get("system_role", [])),
    )
    grants = union(
        *(
            select(grant.argument).where(grant.action.in_(actions), ~grant.exclude, column.in_(values))
            for grant, column, values in columns
        )
    ).subquery()
    return set(db.session.scalars(select(grants.c.argument).limit(limit)))
