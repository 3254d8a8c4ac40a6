"""A permission of Invenio-Access that finds out in one statement to whom its actions are granted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import flask_principal
from flask import has_request_context, request
from invenio_access import Permission
from invenio_access.models import get_action_cache_key
from invenio_access.proxies import current_access

from ..models.grants import find_grants

Granted = Mapping[Any, flask_principal.Permission]
"""Of each action need, the needs to which it is allowed, and those to which it is denied."""

_EXPECTED = "invenio_files_rest.expected_needs"


class ActionPermission(Permission):
    """A permission of Invenio-Access, which decides as that does, and keeps what it finds where that does.

    Invenio-Access asks for each action three times: for users, roles and system roles. This class asks once for all
    actions that it needs, and for those that the request has been said to need later on, see :func:`expect`.
    """

    @property
    def needs(self) -> set[Any]:
        """What allows it, as far as the database knows."""
        return self._united(granted(self.action_needs))[0]

    @property
    def excludes(self) -> set[Any]:
        """What denies it, as far as the database knows."""
        return self._united(granted(self.action_needs))[1]

    @property
    def action_needs(self) -> set[Any]:
        """The actions that somebody has to have been granted, or not."""
        return {need for need in self.explicit_needs | self.explicit_excludes if need.method == "action"}

    def allows(self, identity: flask_principal.Identity) -> bool:
        """Tell whether an identity has the permission.

        :param identity: The identity.
        """
        return self.allows_given(granted(self.action_needs), identity)

    def allows_given(self, found: Granted, identity: flask_principal.Identity) -> bool:
        """Tell whether an identity has the permission, where it is known to whom actions are granted.

        :param found: What :func:`granted` has found of :attr:`action_needs`.
        :param identity: The identity.
        """
        needs, excludes = self._united(found)
        return not (needs and needs.isdisjoint(identity.provides)) and excludes.isdisjoint(identity.provides)

    def _united(self, found: Granted) -> tuple[set[Any], set[Any]]:
        needs = {need for need in self.explicit_needs if need.method != "action"}
        excludes = {need for need in self.explicit_excludes if need.method != "action"}
        for need in self.action_needs:
            needs |= found[need].needs
            excludes |= found[need].excludes
        if not needs and not self.allow_by_default:
            # Flask-Principal allows what needs nothing.
            needs = self.explicit_needs & self.action_needs
        return needs, excludes


def expect(needs: Iterable[Any]) -> None:
    """Say which actions the request will need as well, so that the first of its permissions finds out about all.

    :param needs: The needs of these actions.
    """
    if has_request_context():
        request.environ.setdefault(_EXPECTED, set()).update(needs)


def granted(needs: Collection[Any]) -> Granted:
    """Find out to whom actions are granted, in Invenio-Access's cache or else in the database.

    :param needs: Needs of the actions.
    """
    found = {need: current_access.get_action_cache(_cache_key(need)) for need in needs}
    missing = {need for need, grants in found.items() if grants is None}
    if missing:
        if has_request_context():
            missing |= request.environ.pop(_EXPECTED, set())
        for need, grants in _load(missing).items():
            current_access.set_action_cache(_cache_key(need), grants)
            found[need] = grants
    return found


def _load(needs: set[Any]) -> dict[Any, flask_principal.Permission]:
    # Other processes find this in the cache, with 6.1 perhaps: it has to be of a class that they know.
    found = {need: flask_principal.Permission() for need in needs}
    on_all, on_argument = defaultdict(list), defaultdict(list)
    for need in needs:
        on_all[need.value].append(found[need])
        on_argument[need.value, _argument(need)].append(found[need])
    arguments = {argument for argument in map(_argument, needs) if argument is not None}
    for action, argument, exclude, holder in find_grants({need.value for need in needs}, arguments):
        for grants in on_all[action] if argument is None else on_argument[action, argument]:
            (grants.excludes if exclude else grants.needs).add(holder)
    return found


def _argument(need: Any) -> str | None:
    argument = getattr(need, "argument", None)
    return None if argument is None else str(argument)


def _cache_key(need: Any) -> str:
    return get_action_cache_key(need.value, getattr(need, "argument", None))
