"""``?tags`` of a bucket and of an object: to see all tags, to replace and to delete them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from functools import wraps
from hashlib import sha256
from typing import Any, TypeVar

from flask import Response, abort, request
from webargs import fields

from ..http.arguments import NOT_FOUND, Identifier, refuse_stray_arguments, use_kwargs
from ..http.json_streams import dumps
from ..http.preconditions import check_preconditions, last_modified_of, write_conditions
from ..models import Bucket, ObjectVersion
from ..proxies import current_permission_factory
from ..services.buckets import replace_bucket_tags
from ..services.conditions import TagsPrecondition, check_validators
from ..services.objects import replace_version_tags
from .decorators import check_permission, ensure_acceptable, ensure_unlocked, need_bucket_permission, pass_bucket

F = TypeVar("F", bound=Callable[..., Any])

TAGS = "tags"

_VERSION = {
    "version_id": Identifier(
        data_key="versionId", load_default=None, metadata={"description": "Identifier of a version."}
    )
}
_BODY = {"tags": fields.Dict(keys=fields.String(), values=fields.String(), required=True)}


def is_about_tags() -> bool:
    """Tell whether the request is about tags."""
    return TAGS in request.args


def or_of_tags(name: str) -> Callable[[F], F]:
    """Have a method of a view do something else where the request is about tags.

    :param name: Name of the method to call instead.
    """

    def decorator(f: F) -> F:
        @wraps(f)
        def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(self, name)(**kwargs) if is_about_tags() else f(self, *args, **kwargs)

        return inner  # type: ignore[return-value]

    return decorator


def _entity_tag(tags: Mapping[str, str]) -> str:
    """Return what stands for tags, whatever their order. No checksum of a file begins with it."""
    return f"tags:{sha256(json.dumps(sorted(tags.items())).encode()).hexdigest()[:32]}"


def _shown(tags: Mapping[str, str]) -> Response:
    etag = _entity_tag(tags)
    # Werkzeug's own make_conditional() takes "If-Match: *" for a tag that there is not.
    if request.method in ("GET", "HEAD") and not check_preconditions(request, etag, None):
        response = Response(status=304)
    else:
        response = Response(dumps({"tags": tags}), mimetype="application/json")
    response.set_etag(etag)
    return response


def _precondition(*validators: Any) -> TagsPrecondition | None:
    """Return what checks the conditions of the request, if it has any, against tags and what has them.

    :param validators: The date and the entity tags of what has them.
    """
    conditions = write_conditions(request)
    if not conditions:
        return None
    return lambda tags: check_validators(conditions, *validators, _entity_tag(tags))


def _actions_of_object() -> list[str]:
    """Return the actions, other than to change the bucket, that a request needs to change tags of an object."""
    return ["object-read", *(["object-read-version"] if "versionId" in request.args else [])]


def _actions_of_conditions() -> list[str]:
    """Return the action that a request needs whose answer tells whether the tags of a bucket are what it names."""
    return ["bucket-read"] if write_conditions(request) else []


class BucketTagsMixin:
    """What a bucket's resource does with tags."""

    make_response: Callable[..., Response]

    @pass_bucket
    @need_bucket_permission("bucket-read")
    @ensure_acceptable
    def show_tags(self, bucket: Bucket) -> Response:
        """Show the tags of the bucket."""
        return _shown(bucket.get_tags())

    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_conditions)
    @ensure_unlocked
    @ensure_acceptable
    @use_kwargs(_BODY, location="json_object")
    def put_tags(self, bucket: Bucket, tags: dict[str, str]) -> Response:
        """Replace the tags of the bucket."""
        self._replace(bucket, tags)
        return _shown(tags)

    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_conditions)
    @ensure_unlocked
    def delete_tags(self, bucket: Bucket) -> Response:
        """Delete the tags of the bucket."""
        self._replace(bucket, {})
        return self.make_response(None, 204)

    @staticmethod
    def _replace(bucket: Bucket, tags: Mapping[str, str]) -> None:
        refuse_stray_arguments(TAGS)
        precondition = _precondition(None)
        if precondition is not None:
            # Whether it holds tells what the tags are.
            check_permission(current_permission_factory(bucket, "bucket-read"))
        replace_bucket_tags(bucket.id, tags, precondition)


class ObjectTagsMixin:
    """What an object's resource does with tags."""

    make_response: Callable[..., Response]
    get_object: Callable[..., ObjectVersion]

    @ensure_acceptable
    def show_tags(self, obj: ObjectVersion) -> Response:
        """Show the tags of a version."""
        if obj.file is None:
            abort(404, description=NOT_FOUND)
        return _shown(obj.get_tags())

    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_object)
    @ensure_unlocked
    @ensure_acceptable
    @use_kwargs(_BODY, location="json_object")
    def put_tags(self, bucket: Bucket, key: str, tags: dict[str, str]) -> Response:
        """Replace the tags of the object."""
        self._replace_tags(bucket, key, tags)
        return _shown(tags)

    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_object)
    @ensure_unlocked
    def delete_tags(self, bucket: Bucket, key: str) -> Response:
        """Delete the tags of the object."""
        self._replace_tags(bucket, key, {})
        return self.make_response(None, 204)

    @use_kwargs(_VERSION, location="query")
    def _replace_tags(self, bucket: Bucket, key: str, tags: Mapping[str, str], version_id: uuid.UUID | None) -> None:
        refuse_stray_arguments(TAGS, "versionId")
        obj: Any = self.get_object(bucket, key, version_id)
        if obj.file is None:
            abort(404, description=NOT_FOUND)
        precondition = _precondition(last_modified_of(request, obj), obj.file.checksum)
        if not replace_version_tags(bucket.id, obj.version_id, tags, precondition):
            abort(404, description=NOT_FOUND)
