"""Permissions decide as Invenio-Access does, with one statement, and share its cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from cachelib import SimpleCache
from flask import g
from flask_principal import ActionNeed, Identity, RoleNeed, UserNeed
from helpers.rest import statements
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invenio_access import Permission
from invenio_access.cli import access
from invenio_access.models import ActionRoles, ActionSystemRoles, ActionUsers
from invenio_access.permissions import any_user, authenticated_user, superuser_access, system_process
from invenio_accounts.models import Role
from invenio_accounts.testutils import create_test_user

from invenio_files_rest.models import Bucket, ObjectVersion, grants
from invenio_files_rest.permissions import (
    BucketUpdate,
    ObjectRead,
    ObjectReadVersion,
    expect_actions,
    object_read_all,
    permission_factory,
    permitted,
)
from invenio_files_rest.permissions.permission import ActionPermission

ACTIONS = (ObjectRead, ObjectReadVersion, BucketUpdate)
ARGUMENTS = ("one", "two")
SYSTEM_ROLES = (any_user, authenticated_user, system_process)


@pytest.fixture
def people(db: Any) -> dict[str, Any]:
    """Return columns of grants, with the identifiers that they may have, and those of nobody's identity."""
    users = [create_test_user(f"{uuid4()}@example.org").id for _ in range(2)]
    roles = [Role(id=f"role-{number}", name=f"role-{number}") for number in range(2)]
    db.session.add_all(roles)
    db.session.commit()
    return {"users": users, "roles": [role.id for role in roles]}


needs = st.one_of(
    st.builds(lambda action, argument: action(argument), st.sampled_from(ACTIONS), st.sampled_from((None, *ARGUMENTS))),
    st.just(superuser_access),
    st.just(ActionNeed("files-rest-object-read")),
)
spelled = st.sampled_from((None, *ARGUMENTS, "ONE", "two ", ""))
granted = st.lists(
    st.tuples(
        st.sampled_from([*(action(None).value for action in ACTIONS), superuser_access.value]),
        spelled,
        st.booleans(),
        st.sampled_from(("users", "roles", "system roles")),
        st.integers(0, 1),
    ),
    max_size=8,
    unique=True,
)
asked = st.sets(st.one_of(needs, st.sampled_from((UserNeed(0), any_user))), max_size=4)
held = st.sets(
    st.one_of(
        st.sampled_from(SYSTEM_ROLES),
        st.tuples(st.sampled_from(("users", "roles")), st.integers(0, 1)),
        st.sampled_from((object_read_all, superuser_access, UserNeed(0))),
    ),
    max_size=4,
)


@pytest.mark.parametrize("where", ["request", "elsewhere"])
@pytest.mark.parametrize("allow_by_default", [False, True])
def test_decides_as_invenio_access_does(
    app: Any, db: Any, people: dict[str, Any], where: str, allow_by_default: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Permission, "allow_by_default", allow_by_default)

    def fill(rows: list[Any]) -> None:
        for model in (ActionUsers, ActionRoles, ActionSystemRoles):
            db.session.execute(model.__table__.delete())
        for action, argument, exclude, kind, number in rows:
            values = {"action": action, "argument": argument, "exclude": exclude}
            if kind == "users":
                db.session.execute(ActionUsers.__table__.insert().values(user_id=people[kind][number], **values))
            elif kind == "roles":
                db.session.execute(ActionRoles.__table__.insert().values(role_id=people[kind][number], **values))
            else:
                role = SYSTEM_ROLES[number].value
                db.session.execute(ActionSystemRoles.__table__.insert().values(role_name=role, **values))

    def identity(provides: set[Any]) -> Identity:
        found = Identity(None)
        for need in provides:
            kind, number = need[0], need[1]
            make = {"users": UserNeed, "roles": RoleNeed}.get(kind)
            found.provides.add(make(people[kind][number]) if make else need)
        return found

    def in_request(work: Callable[[], Any]) -> Any:
        if where == "elsewhere":
            return work()
        with app.test_request_context():
            return work()

    def decision(kind: type[Permission], needs: set[Any], excludes: set[Any], who: Identity) -> Any:
        permission = kind(*needs)
        permission.explicit_excludes.update(excludes)
        return permission.needs, permission.excludes, permission.allows(who), who.can(permission)

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(granted, asked, asked, held)
    def compare(rows: Any, needs: set[Any], excludes: set[Any], provides: set[Any]) -> None:
        # MariaDB takes two spellings of a grant for one.
        folded = {(action, argument and argument.casefold().rstrip(), *rest) for action, argument, *rest in rows}
        if len(folded) < len(rows):
            return
        fill(rows)
        who = identity(provides)
        theirs = in_request(lambda: decision(Permission, needs, excludes, who))
        ours = in_request(lambda: decision(ActionPermission, needs, excludes, who))
        assert ours == theirs

    compare()


@pytest.fixture
def as_user(app: Any, db: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that lets the current identity be that of a new user with grants on actions."""

    def become(*granted: Any) -> Any:
        user = create_test_user(f"{uuid4()}@example.org")
        db.session.add_all(ActionUsers.allow(need, user_id=user.id) for need in granted)
        db.session.commit()
        g.identity = Identity(user.id)
        g.identity.provides.add(UserNeed(user.id))
        return user

    yield become
    g.pop("identity", None)


@pytest.fixture
def buckets(db: Any, location: Any) -> list[Any]:
    made = [Bucket.create(location) for _ in range(12)]
    db.session.commit()
    return made


def test_many_objects_take_one_statement(as_user: Any, buckets: list[Any]) -> None:
    mine = buckets[::3]
    as_user(*(ObjectRead(str(bucket.id)) for bucket in mine))
    with statements() as found:
        [bucket.id for bucket in buckets]
        found.clear()
        assert permitted(iter(buckets), "object-read") == mine
        assert permitted([], "object-read") == []
    assert len(found) == 1
    as_user(object_read_all)
    assert permitted(buckets, "object-read") == buckets
    as_user()
    assert permitted(buckets, "object-read") == []


def test_very_many_objects_are_asked_for_in_parts(as_user: Any, buckets: list[Any], db: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(grants, "ARGUMENTS", 5)
    user = as_user(object_read_all)
    db.session.add(ActionUsers.deny(ObjectRead(str(buckets[7].id)), user_id=user.id))
    db.session.commit()
    with statements() as found:
        [bucket.id for bucket in buckets]
        found.clear()
        assert permitted(buckets, "object-read") == buckets[:7] + buckets[8:]
    assert len(found) == 3


def test_of_many_objects_a_factory_of_one_s_own_decides(
    app: Any, as_user: Any, buckets: list[Any], monkeypatch: Any
) -> None:
    class Fixed:
        def __init__(self, answer: bool) -> None:
            self.answer = answer

        def can(self) -> bool:
            return self.answer

    class Stubborn(ActionPermission):
        def can(self) -> bool:
            return True

    own = {
        buckets[0].id: lambda: Fixed(True),
        buckets[1].id: lambda: Fixed(False),
        buckets[2].id: lambda: None,
        buckets[3].id: lambda: Stubborn(BucketUpdate("nothing")),
    }

    def factory(obj: Any, action: str) -> Any:
        return own[obj.id]() if obj.id in own else permission_factory(obj, action)

    monkeypatch.setattr(app.extensions["invenio-files-rest"], "permission_factory", factory)
    as_user(ObjectRead(str(buckets[5].id)))
    assert permitted(buckets, "object-read") == [buckets[0], buckets[2], buckets[3], buckets[5]]


def test_what_is_expected_comes_with_what_is_asked(app: Any, as_user: Any, bucket: Any) -> None:
    as_user(ObjectRead(str(bucket.id)))
    me = g.identity
    obj = ObjectVersion.absent(bucket, "key")
    with app.test_request_context():
        g.identity = me
        expect_actions(bucket, "object-read", "object-read-version", "object-delete")
        with statements() as found:
            obj.bucket_id  # noqa: B018 (loads it)
            found.clear()
            assert permission_factory(obj, "object-read").can()
            assert not permission_factory(obj, "object-read-version").can()
            assert not permission_factory(obj, "object-delete").can()
            assert len(found) == 1
            assert not permission_factory(obj, "bucket-update").can()
            assert len(found) == 2


def test_it_is_a_permission_of_invenio_access(as_user: Any, bucket: Any) -> None:
    user = as_user(ObjectRead(str(bucket.id)))
    permission = permission_factory(bucket, "object-read")
    assert isinstance(permission, Permission)
    assert permission.explicit_needs == {ObjectRead(str(bucket.id)), superuser_access}
    assert (permission.needs, permission.excludes) == ({UserNeed(user.id)}, set())
    assert permission.union(permission_factory(bucket, "bucket-update")).needs >= {UserNeed(user.id)}
    assert permission.reverse().excludes == {UserNeed(user.id)}
    with permission.require():
        pass


@pytest.fixture
def cache(app: Any, monkeypatch: Any) -> SimpleCache:
    """Give Invenio-Access a cache that pickles, as one does that processes share."""
    cache = SimpleCache()
    state = app.extensions["invenio-access"]
    monkeypatch.setitem(vars(state), "cache", cache)
    return cache


KINDS = (ActionPermission, Permission)


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in KINDS for b in KINDS])
def test_what_one_has_cached_the_other_uses(
    cache: SimpleCache, as_user: Any, db: Any, first: type[Permission], second: type[Permission]
) -> None:
    need = ObjectRead("one")
    user_id = as_user(need).id
    db.session.add(ActionSystemRoles.deny(need, role=system_process))
    db.session.commit()
    assert first(need).allows(g.identity)
    with statements() as found:
        assert second(need).allows(g.identity)
        assert second(need).needs == {UserNeed(user_id)}
        assert second(need).excludes == {system_process}
    assert not found


def test_a_grant_that_is_taken_away_leaves_the_cache(cache: SimpleCache, as_user: Any, db: Any) -> None:
    need = ObjectRead("one")
    as_user(need)
    assert ActionPermission(need).allows(g.identity)
    db.session.delete(ActionUsers.query.one())
    db.session.commit()
    assert not ActionPermission(need).allows(g.identity)


@pytest.mark.parametrize("by", ["command", "session"])
def test_some_grants_that_are_taken_away_stay_in_the_cache_for_its_time(
    app: Any, cache: SimpleCache, as_user: Any, db: Any, by: str
) -> None:
    """What the documentation says that a cache costs."""
    need = ObjectRead("one")
    if by == "session":
        as_user(object_read_all)
        assert ActionPermission(need).allows(g.identity)
        db.session.delete(ActionUsers.query.one())
        db.session.commit()
    else:
        user = as_user(need)
        assert ActionPermission(need).allows(g.identity)
        arguments = ["remove", "-a", "one", need.value, "user", user.email]
        result = app.test_cli_runner().invoke(access, arguments)
        assert result.exit_code == 0, result.output
    db.session.rollback()
    assert not ActionUsers.query.count()
    assert ActionPermission(need).allows(g.identity)
    cache.clear()
    assert not ActionPermission(need).allows(g.identity)
