"""The actions and the permission factory, based on Invenio-Access.

An action is granted on one bucket, whose identifier is the action's argument, or without an argument on all buckets.
Permissions on objects and multipart uploads are those on their bucket, so that a grant on a bucket is enough.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from flask import current_app, g
from flask_login import current_user
from invenio_access import Permission, action_factory

from ..models import Bucket, MultipartObject, ObjectVersion
from ..models.grants import allow_user
from ..proxies import current_files_rest
from .permission import ActionPermission, expect, granted

T = TypeVar("T")

LocationUpdate = action_factory("files-rest-location-update", parameter=True)
"""Create buckets."""
BucketRead = action_factory("files-rest-bucket-read", parameter=True)
"""List the objects of a bucket."""
BucketReadVersions = action_factory("files-rest-bucket-read-versions", parameter=True)
"""List the versions of the objects of a bucket."""
BucketUpdate = action_factory("files-rest-bucket-update", parameter=True)
"""Store objects in a bucket, in one piece or in parts."""
BucketListMultiparts = action_factory("files-rest-bucket-listmultiparts", parameter=True)
"""List the multipart uploads of a bucket."""
ObjectRead = action_factory("files-rest-object-read", parameter=True)
"""Get the objects of a bucket."""
ObjectReadVersion = action_factory("files-rest-object-read-version", parameter=True)
"""Get versions that are not the head."""
ObjectDelete = action_factory("files-rest-object-delete", parameter=True)
"""Delete objects."""
ObjectDeleteVersion = action_factory("files-rest-object-delete-version", parameter=True)
"""Remove versions permanently."""
MultipartRead = action_factory("files-rest-multipart-read", parameter=True)
"""List the parts of a multipart upload."""
MultipartDelete = action_factory("files-rest-multipart-delete", parameter=True)
"""Abort a multipart upload."""

location_update_all = LocationUpdate(None)
"""Create buckets."""
bucket_read_all = BucketRead(None)
"""List the objects of every bucket."""
bucket_read_versions_all = BucketReadVersions(None)
"""List the versions in every bucket."""
bucket_update_all = BucketUpdate(None)
"""Store objects in every bucket."""
bucket_listmultiparts_all = BucketListMultiparts(None)
"""List the multipart uploads of every bucket."""
object_read_all = ObjectRead(None)
"""Get objects in every bucket."""
object_read_version_all = ObjectReadVersion(None)
"""Get versions that are not the head in every bucket."""
object_delete_all = ObjectDelete(None)
"""Delete objects in every bucket."""
object_delete_version_all = ObjectDeleteVersion(None)
"""Remove versions permanently in every bucket."""
multipart_read_all = MultipartRead(None)
"""List the parts of every multipart upload."""
multipart_delete_all = MultipartDelete(None)
"""Abort every multipart upload."""

_PREFIX = "files-rest-"

_NEEDS = {
    need.args[0].removeprefix(_PREFIX): need
    for need in (
        LocationUpdate,
        BucketRead,
        BucketReadVersions,
        BucketUpdate,
        BucketListMultiparts,
        ObjectRead,
        ObjectReadVersion,
        ObjectDelete,
        ObjectDeleteVersion,
        MultipartRead,
        MultipartDelete,
    )
}


def permission_factory(obj: Bucket | ObjectVersion | MultipartObject | None, action: str) -> Permission:
    """Return the permission that an action on an object needs.

    :param obj: Object of the action; ``None`` if it is not about a bucket.
    :param action: Name of the action without ``files-rest-``, e.g. ``"bucket-read"``.
    :returns: The permission; its ``can()`` returns whether the current identity has it.
    :raises RuntimeError: If the object is of another type, or the action is unknown.
    """
    return ActionPermission(_need(obj, action))


def _need(obj: Any, action: str) -> Any:
    try:
        need = _NEEDS[action]
    except KeyError as error:
        raise RuntimeError(f"Unknown action: {action}") from error
    if obj is None:
        return need(None)
    if isinstance(obj, Bucket):
        return need(str(obj.id))
    if isinstance(obj, (ObjectVersion, MultipartObject)):
        return need(str(obj.bucket_id))
    raise RuntimeError(f"No permissions for an object of type {type(obj).__name__}")


def action_name(action: str) -> str:
    """Return the name under which Invenio-Access knows an action.

    :param action: Its name here, e.g. ``"bucket-read"``.
    """
    return _PREFIX + action


def expect_actions(obj: Bucket | ObjectVersion | MultipartObject | uuid.UUID | None, *actions: str) -> None:
    """Say which actions on an object the request will ask for.

    The first permission of :func:`permission_factory` that is asked finds out about all of them in one statement. Where
    none is asked, because a factory of one's own decides, nothing happens.

    :param obj: What they are on; the identifier of a bucket that may not exist.
    :param actions: Their names.
    """
    expect(_NEEDS[action](str(obj)) if isinstance(obj, uuid.UUID) else _need(obj, action) for action in actions)


def permitted(objects: Iterable[T], action: str) -> list[T]:
    """Return those of many objects on which the current identity may do something.

    :param objects: The objects.
    :param action: Name of the action.
    """
    asked = list(objects)
    return [obj for obj, actions in zip(asked, permitted_actions(asked, [action]), strict=True) if actions]


def permitted_actions(objects: Collection[Any], actions: Collection[str]) -> list[set[str]]:
    """Return what the current identity may do with each of many objects.

    The factory that ``FILES_REST_PERMISSION_FACTORY`` names is asked of each. As long as it returns permissions of
    :func:`permission_factory`, one statement finds out about a thousand buckets.

    :param objects: The objects.
    :param actions: Names of the actions to ask for.
    :returns: Those of the actions that are permitted, for each of the objects.
    """
    factory = current_files_rest.permission_factory
    asked = [{action: factory(obj, action) for action in actions} for obj in objects]
    ours = (one for permissions in asked for one in permissions.values() if type(one) is ActionPermission)
    found = granted({need for permission in ours for need in permission.action_needs})

    def can(permission: Any) -> bool:
        if type(permission) is ActionPermission:
            return permission.allows_given(found, g.identity)
        return permission is None or bool(permission.can())

    return [{action for action, permission in permissions.items() if can(permission)} for permissions in asked]


def decides_by_bucket() -> bool:
    """Tell whether permissions on objects are those on their bucket, since no factory of one's own decides."""
    return current_files_rest.permission_factory is permission_factory


def grant_to_creator(bucket: Bucket) -> Bucket:
    """Allow whoever creates a bucket to use it, where ``FILES_REST_GRANT_CREATOR`` says so.

    :param bucket: The new bucket.
    :returns: The bucket.
    """
    if current_app.config["FILES_REST_GRANT_CREATOR"] and current_user.is_authenticated:
        needs = [need(str(bucket.id)) for action, need in _NEEDS.items() if action != "location-update"]
        allow_user(current_user.id, needs)
    return bucket
