"""Changes of a bucket as a whole: its limits and its lock, snapshots, and bringing it in line with another one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, abort, request
from marshmallow import ValidationError
from webargs import fields

from ..errors import InvalidArguments, MissingQueryParameter, field_errors
from ..http.arguments import NOT_FOUND, Identifier, WholeNumber, between, is_uuid, refuse_stray_arguments, use_kwargs
from ..http.json_response import json_serializer
from ..http.preconditions import write_conditions
from ..messages import lazy_gettext as _
from ..models import Bucket, ObjectVersion
from ..models.listing import Listing
from ..permissions import decides_by_bucket, expect_actions, grant_to_creator, permitted
from ..proxies import current_permission_factory
from ..services.batches import in_batches
from ..services.bucket_copies import snapshot_bucket, sync_bucket
from ..services.buckets import change_bucket
from ..services.conditions import check_conditions_without_validators
from .decorators import (
    check_permission,
    ensure_acceptable,
    ensure_unlocked,
    need_bucket_permission,
    pass_bucket,
    refuse_body,
)
from .resumable import BucketUploadsMixin, is_about_an_upload
from .tags import BucketTagsMixin, is_about_tags

_SNAPSHOT, _LOCK, _SYNC, _SOURCE, _DELETE_EXTRAS = "snapshot", "lock", "sync", "from", "delete-extras"


class _Limit(WholeNumber):
    """A size limit in bytes; ``null`` for none."""

    def __init__(self) -> None:
        super().__init__(allow_none=True, validate=between(0, 2**63 - 1))

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **kwargs)


class _Flag(fields.Boolean):
    """``true`` or ``false``."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(_("Neither true nor false."))
        return value


_CHANGES = {"quota_size": _Limit(), "max_file_size": _Limit(), "locked": _Flag()}


def _actions_of_snapshot() -> Iterable[str]:
    expect_actions(None, "location-update")
    return ["object-read"]


def _actions_of_sync() -> Iterable[str]:
    source = request.args.get(_SOURCE, "")
    if is_uuid(source):
        expect_actions(uuid.UUID(source), "bucket-read", "object-read")
    return ["object-delete"]


class BucketChangesMixin(BucketTagsMixin, BucketUploadsMixin):
    """What changes a bucket as a whole."""

    make_response: Callable[..., Response]

    def post(self, **kwargs: Any) -> Response:
        """Copy the bucket, bring it in line with another one, or begin an upload."""
        if _SNAPSHOT in request.args:
            return self.snapshot(**kwargs)
        if _SYNC in request.args:
            return self.sync(**kwargs)
        return super().post(**kwargs)

    def put(self, **kwargs: Any) -> Response:
        """Replace the tags of the bucket."""
        return self.put_tags(**kwargs) if is_about_tags() else self.resumable(**kwargs)

    def patch(self, **kwargs: Any) -> Response:
        """Change limits or lock of the bucket, or append to an upload."""
        return super().patch(**kwargs) if is_about_an_upload() else self.change(**kwargs)

    def delete(self, **kwargs: Any) -> Response:
        """Delete the tags of the bucket, or end an upload."""
        return self.delete_tags(**kwargs) if is_about_tags() else super().delete(**kwargs)

    @pass_bucket
    @need_bucket_permission("bucket-read", along=lambda: ["location-update"])
    @need_bucket_permission("location-update", hidden=False)
    @ensure_acceptable
    @use_kwargs(_CHANGES, location="json_object")
    def change(self, bucket: Bucket, **values: Any) -> Response:
        """Change limits or lock of the bucket, which may be locked.

        :param bucket: The bucket.
        :param values: ``quota_size``, ``max_file_size``, ``locked``.
        """
        refuse_stray_arguments()
        check_conditions_without_validators(write_conditions(request))
        if not values:
            raise InvalidArguments(errors=field_errors(_("Give one of %(names)s.", names=", ".join(_CHANGES)), "body"))
        changed = change_bucket(bucket.id, **values)
        return self.make_response(data=changed, context={"class": Bucket})

    @pass_bucket
    @need_bucket_permission("bucket-read", along=_actions_of_snapshot)
    @ensure_acceptable
    def snapshot(self, bucket: Bucket) -> Response:
        """Copy the heads of the bucket to a new one.

        :param bucket: The bucket.
        """
        bucket_id = bucket.id
        _ensure_heads_readable(bucket)
        check_permission(current_permission_factory(None, "location-update"), hidden=False)
        refuse_stray_arguments(_SNAPSHOT, _LOCK)
        refuse_body()
        check_conditions_without_validators(write_conditions(request))
        copy = snapshot_bucket(bucket_id, _LOCK in request.args, complete=grant_to_creator)
        # Under the URL of a record, too, the copy is a bucket of its own.
        return json_serializer(data=copy, context={"class": Bucket})

    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_sync)
    @need_bucket_permission("object-delete", hidden=False)
    @ensure_unlocked
    @ensure_acceptable
    @use_kwargs({"source_id": Identifier(data_key=_SOURCE, load_default=None)}, location="query")
    def sync(self, bucket: Bucket, source_id: uuid.UUID | None) -> Response:
        """Give the bucket the heads of another.

        :param bucket: The bucket to change.
        :param source_id: Identifier of the other bucket.
        """
        refuse_stray_arguments(_SYNC, _SOURCE, _DELETE_EXTRAS)
        if source_id is None:
            raise MissingQueryParameter(_SOURCE)
        refuse_body()
        check_conditions_without_validators(write_conditions(request))
        bucket_id = bucket.id
        if source_id == bucket_id:
            abort(400, description=_("There is nothing to sync: the bucket is both source and target."))
        source = Bucket.get(source_id)
        if source is None:
            abort(404, description=NOT_FOUND)
        check_permission(current_permission_factory(source, "bucket-read"))
        _ensure_heads_readable(source)
        created = sync_bucket(source_id, bucket_id, _DELETE_EXTRAS in request.args)
        changed: Any = [] if created is None else Listing(bucket_id, versions=True, created=created)
        context = {"class": ObjectVersion, "bucket": Bucket.get(bucket_id), "many": True}
        return self.make_response(data=changed, context=context)


def _ensure_heads_readable(bucket: Bucket) -> None:
    """Check that the current identity may read all objects of a bucket.

    :raises werkzeug.exceptions.NotFound: If it may not.
    """
    if decides_by_bucket():
        check_permission(current_permission_factory(bucket, "object-read"))
        return
    for heads in in_batches(ObjectVersion.get_by_bucket(bucket), ObjectVersion.key):
        if len(permitted(heads, "object-read")) < len(heads):
            abort(404, description=NOT_FOUND)
