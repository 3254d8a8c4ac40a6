"""Grants of Invenio-Access, of users, roles and system roles at once: to whom actions are allowed, and on what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

from flask_principal import Need, RoleNeed, UserNeed
from invenio_access.models import ActionRoles, ActionSystemRoles, ActionUsers
from invenio_access.permissions import SystemRoleNeed
from invenio_access.proxies import current_access
from invenio_db import db
from sqlalchemy import Select, bindparam, cast, null, or_, select, union, union_all

from .base import read

ARGUMENTS = 1000
"""Number of arguments that a statement asks for at most."""


class Grant(NamedTuple):
    """That an action is allowed or denied to somebody."""

    action: str
    argument: str | None
    """What it is granted on; ``None`` for all."""

    exclude: bool
    """Whether it is denied."""

    need: Need
    """The need of those to whom it is."""


# Tables rather than models, which take SQLAlchemy half the time.
_HOLDERS = (
    ActionUsers.__table__.c.user_id,
    ActionRoles.__table__.c.role_id,
    ActionSystemRoles.__table__.c.role_name,
)


def _grants_to(holder: Any) -> Select[Any]:
    grants = holder.table.c
    holders = (column if column is holder else cast(null(), column.type) for column in _HOLDERS)
    named = (column.label(each.name) for column, each in zip(holders, _HOLDERS, strict=True))
    return select(grants.action, grants.argument, grants.exclude, *named)


def _of_all_holders() -> Select[Any]:
    # Databases push the conditions down into each of the three; one that is written once is read and planned faster.
    grants = union_all(*map(_grants_to, _HOLDERS)).subquery("grants")
    return select(grants).where(
        grants.c.action.in_(bindparam("actions", expanding=True)),
        or_(grants.c.argument.is_(None), grants.c.argument.in_(bindparam("arguments", expanding=True))),
    )


_GRANTS = _of_all_holders()


def find_grants(actions: Collection[str], arguments: Collection[str]) -> Iterator[Grant]:
    """Find the grants of actions, in one statement for each :data:`ARGUMENTS` arguments.

    :param actions: Names of the actions.
    :param arguments: What they are granted on; those that are granted on all are found in any case.
    :returns: The grants, with actions and arguments spelled as they are here, which some databases take less exactly.
    """
    names, values = sorted(actions), sorted(arguments)
    action_as_asked, argument_as_asked = _spelled_as(names), _spelled_as(values)
    for start in range(0, max(len(values), 1), ARGUMENTS):
        asked = {"actions": names, "arguments": values[start : start + ARGUMENTS]}
        for action, argument, exclude, *holder in read(_GRANTS, asked):
            if argument is not None:
                yield Grant(action_as_asked(action), argument_as_asked(argument), exclude, _need_of(*holder))
            elif start == 0:
                yield Grant(action_as_asked(action), None, exclude, _need_of(*holder))


def _need_of(user_id: int | None, role_id: Any, system_role: str) -> Need:
    if user_id is not None:
        return UserNeed(user_id)
    if role_id is not None:
        return RoleNeed(role_id)
    return current_access.system_roles.get(system_role) or SystemRoleNeed(system_role)


def _spelled_as(asked: Collection[str]) -> Callable[[str], str]:
    """Return a function that spells names as asked for: MariaDB finds them in capitals, and with trailing spaces."""
    exact, folded = set(asked), {name.casefold().rstrip(): name for name in asked}
    return lambda name: name if name in exact else folded.get(name.casefold().rstrip(), name)


def allow_user(user_id: int, needs: Iterable[Any]) -> None:
    """Allow actions to a user.

    :param user_id: Identifier of the user.
    :param needs: Needs of the actions.
    """
    db.session.add_all([ActionUsers.allow(need, user_id=user_id) for need in needs])
    db.session.flush()


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
