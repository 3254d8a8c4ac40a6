"""New versions of what is stored already: ``PUT`` with ``copy`` or ``move``, ``POST`` with ``restore``."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Response, abort, current_app, request
from webargs import fields

from ..errors import BucketLockedError, MissingQueryParameter, ObjectReplacedError
from ..http.arguments import NOT_FOUND, Identifier, is_uuid, of_a_key, refuse_stray_arguments, use_kwargs
from ..http.upload_body import parse_header_tags
from ..messages import lazy_gettext as _
from ..models import Bucket, ObjectVersion
from ..permissions import expect_actions
from ..proxies import current_permission_factory
from ..services.conditions import check_write_conditions
from ..services.copying import copy_object, move_object
from .decorators import check_permission, refuse_body

COPY, MOVE, RESTORE, SOURCE = "copy", "move", "restore", "from"

_ARGUMENTS = {
    "copied": fields.String(data_key=COPY, validate=of_a_key),
    "moved": fields.String(data_key=MOVE, validate=of_a_key),
    "source_id": Identifier(data_key=SOURCE, load_default=None),
    "version_id": Identifier(data_key="versionId", load_default=None),
}

_BEGINS_AS_A_BUCKET = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/", re.ASCII | re.IGNORECASE)

_ATTEMPTS = 5
"""Number of times that an object is moved, or copied, which somebody else replaces, or removes, at that moment."""


def is_copy() -> bool:
    """Tell whether the request copies or moves an object."""
    return not {COPY, MOVE}.isdisjoint(request.args)


def expect_source_actions() -> list[str]:
    """Say which actions on the source of a copy the request will ask for.

    :returns: Those on the bucket of the request itself.
    """
    if not is_copy() and RESTORE not in request.args:
        return []
    actions = ["object-read"]
    if "versionId" in request.args:
        actions.append("object-read-version")
    if MOVE in request.args:
        actions.append("object-delete")
    source = request.args.get(SOURCE)
    if source is None or not is_uuid(source):
        return actions
    expect_actions(uuid.UUID(source), *actions)
    return []


class CopyMixin:
    """What an object's resource does with copies. The bucket may be changed, and is not locked."""

    make_response: Callable[..., Response]
    readable_conditions: Callable[[Bucket, str], tuple[dict[str, str], Any]]
    get_object: Callable[..., ObjectVersion]

    @use_kwargs(_ARGUMENTS, location="query")
    def copy_or_move(
        self,
        bucket: Bucket,
        key: str,
        source_id: uuid.UUID | None,
        version_id: uuid.UUID | None,
        copied: str | None = None,
        moved: str | None = None,
    ) -> Response:
        """Make a new version of another object, and delete that if it is moved.

        :param bucket: The bucket of the new version.
        :param key: Key of the new version.
        :param source_id: Identifier of the bucket of the source; by default this bucket.
        :param version_id: Identifier of the version to copy; by default the head.
        :param copied: Key of the object to copy.
        :param moved: Key of the object to move.
        """
        if copied is not None:
            refuse_stray_arguments(COPY, SOURCE, "versionId")
        else:
            refuse_stray_arguments(MOVE, SOURCE)
        name, source_key = (COPY, copied) if copied is not None else (MOVE, moved)
        if not source_key:
            abort(
                400,
                description=_("The argument copy names the key of the object to copy.")
                if copied is not None
                else _("The argument move names the key of the object to move."),
            )
        if source_id is None and _BEGINS_AS_A_BUCKET.match(source_key):
            abort(
                400,
                description=_(
                    "The argument %(name)s names a key, and this one begins with the identifier of a bucket: "
                    "name the bucket with %(source)s=, or this one if the key does begin so.",
                    name=name,
                    source=SOURCE,
                ),
            )
        refuse_body()
        if source_id in (None, bucket.id) and source_key == key and version_id is None:
            abort(
                400,
                description=_("There is nothing to copy: the object is both source and target.")
                if copied is not None
                else _("There is nothing to move: the object is both source and target."),
            )
        return self._new_version(bucket, key, source_id or bucket.id, source_key, version_id, moves=moved is not None)

    @use_kwargs({"version_id": _ARGUMENTS["version_id"]}, location="query")
    def restore(self, bucket: Bucket, key: str, version_id: uuid.UUID | None) -> Response:
        """Make an earlier version of an object the latest one, by a new version like it.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param version_id: Identifier of the earlier version.
        """
        refuse_stray_arguments(RESTORE, "versionId")
        if version_id is None:
            raise MissingQueryParameter("versionId")
        refuse_body()
        return self._new_version(bucket, None, bucket.id, key, version_id)

    def _new_version(
        self,
        bucket: Bucket,
        key: str | None,
        source_id: uuid.UUID,
        source_key: str,
        version_id: uuid.UUID | None,
        moves: bool = False,
    ) -> Response:
        bucket_id, target = bucket.id, bucket
        for attempt in range(1, _ATTEMPTS + 1):
            source = self.get_object(target if source_id == bucket_id else source_id, source_key, version_id)
            try:
                return self._store(source, target, source.key if key is None else key, moves)
            except ObjectReplacedError:
                if attempt == _ATTEMPTS:
                    raise
            again = Bucket.get(bucket_id)
            if again is None:
                abort(404, description=NOT_FOUND)
            target = again
        raise AssertionError("unreachable")

    def _store(self, source: ObjectVersion, bucket: Bucket, key: str, moves: bool) -> Response:
        if source.file is None:
            abort(404, description=NOT_FOUND)
        if moves:
            check_permission(current_permission_factory(source, "object-delete"), hidden=False)
            if source.bucket.locked:
                raise BucketLockedError()
        conditions, head = self.readable_conditions(bucket, key)
        check_write_conditions(conditions, head)
        given = current_app.config["FILES_REST_FILE_TAGS_HEADER"] in request.headers
        obj = (move_object if moves else copy_object)(
            source,
            bucket,
            key,
            tags=parse_header_tags() if given else None,
            precondition=partial(check_write_conditions, conditions) if conditions else None,
        )
        return self.make_response(
            data=obj, context={"class": ObjectVersion, "bucket": bucket}, etag=obj.file and obj.file.checksum
        )
