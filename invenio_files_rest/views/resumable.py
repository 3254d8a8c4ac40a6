"""Resumable uploads: tus at ``/files/<bucket>?tus``, the IETF draft at an object, and both at ``?uploadId=``."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Response, abort, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from ..errors import BucketLockedError
from ..http.arguments import NOT_FOUND, Identifier, as_uuid, refuse_stray_arguments, use_kwargs
from ..http.json_streams import dumps
from ..models import Bucket, ObjectVersion, as_object_version
from ..proxies import current_permission_factory
from ..services.uploads.errors import UploadBusy, UploadClosed, UploadLost
from ..tus import discovery, draft, finishing, v1
from ..tus.resource import TUS, Resource, find
from .decorators import (
    actions_of_conditions,
    ensure_acceptable,
    ensure_input_stream_is_not_exhausted,
    ensure_unlocked,
    need_bucket_permission,
    pass_bucket,
)

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_UPLOAD_ID = "uploadId"
_ARGUMENTS = {"upload_id": Identifier(data_key=_UPLOAD_ID, required=True)}

_OF_BUCKET = ["GET", "HEAD", "OPTIONS", "PATCH"]


def or_of_an_upload(f: F) -> F:
    """Have a method of a bucket do something else where the request is about an upload in it.

    :param f: The method.
    """

    @wraps(f)
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.resumable(**kwargs) if _UPLOAD_ID in request.args else f(self, *args, **kwargs)

    return inner  # type: ignore[return-value]


def is_about_an_upload() -> bool:
    """Tell whether the request is about a resumable upload, or of tus."""
    return _UPLOAD_ID in request.args or "tus" in request.args or v1.is_request()


def _method() -> str:
    """Return the method that is meant, where the client cannot send every one (tus 1.0, X-HTTP-Method-Override)."""
    return request.headers.get("X-HTTP-Method-Override", request.method).upper()


def _bucket_of(bucket_id: Any) -> Bucket | None:
    """Return the bucket, for who may store objects in it."""
    try:
        bucket = Bucket.get(as_uuid(bucket_id))
    except NotFound:
        # A browser would not tell its page of another answer.
        return None
    if bucket is None:
        return None
    permission = current_permission_factory(bucket, "bucket-update")
    return bucket if permission is None or permission.can() else None


class BucketUploadsMixin:
    """What a bucket's resource does with resumable uploads."""

    takes_stream = True

    make_response: Callable[..., Response]
    readable_conditions: Callable[[Bucket, str], tuple[dict[str, str], Any]]

    def post(self, **kwargs: Any) -> Response:
        """Begin an upload of tus."""
        return self.resumable(**kwargs)

    def patch(self, **kwargs: Any) -> Response:
        """Append to an upload."""
        return self.resumable(**kwargs)

    def delete(self, **kwargs: Any) -> Response:
        """End an upload."""
        return self.resumable(**kwargs)

    def options(self, bucket_id: Any = None, **kwargs: Any) -> Response:
        """Tell what there is for the bucket."""
        return discovery.options(_bucket_of(bucket_id), with_tus=True)

    def resumable(self, **kwargs: Any) -> Response:
        """Do what a request wants of an upload.

        :raises werkzeug.exceptions.MethodNotAllowed: If it is about none.
        """
        method, is_tus = _method(), "tus" in request.args or v1.is_request()
        if is_tus:
            v1.announce()
        if _UPLOAD_ID not in request.args:
            if method != "POST" or not is_tus:
                raise MethodNotAllowed(_OF_BUCKET)
            return self._create_upload(**kwargs)
        methods: dict[str, Callable[..., Response]] = {
            "DELETE": self._end_upload,
            "GET": self._show_upload,
            "HEAD": self._tell_offset,
            "OPTIONS": self.options,
            "PATCH": self._append,
        }
        if method not in methods:
            raise MethodNotAllowed(methods)
        return methods[method](**kwargs)

    @pass_bucket
    @need_bucket_permission("bucket-update", along=actions_of_conditions)
    @ensure_unlocked
    @ensure_input_stream_is_not_exhausted
    def _create_upload(self, bucket: Bucket) -> Response:
        """Begin an upload of tus."""
        refuse_stray_arguments()
        return v1.create(bucket, self._conditions)

    def _conditions(self, bucket: Bucket, key: str) -> tuple[dict[str, str], Any]:
        return type(self).readable_conditions(bucket, key)

    @pass_bucket
    @need_bucket_permission("bucket-update")
    @ensure_unlocked
    @use_kwargs(_ARGUMENTS, location="query")
    @ensure_acceptable
    @ensure_input_stream_is_not_exhausted
    def _append(self, bucket: Bucket, upload_id: uuid.UUID) -> Response:
        """Append the body to an upload.

        :param bucket: The bucket.
        :param upload_id: Identifier of the upload.
        """
        found = self._find(bucket, upload_id)
        if found.protocol == TUS:
            return v1.patch(found)
        return draft.patch(bucket, found, lambda version_id: show_version(self, bucket, version_id))

    @pass_bucket
    @need_bucket_permission("bucket-update")
    @use_kwargs(_ARGUMENTS, location="query")
    def _end_upload(self, bucket: Bucket, upload_id: uuid.UUID) -> Response:
        """End an upload; what it has become stays.

        :param bucket: The bucket.
        :param upload_id: Identifier of the upload.
        """
        found = self._find(bucket, upload_id)
        return v1.delete(found) if found.protocol == TUS else draft.delete(found)

    @pass_bucket
    @need_bucket_permission("bucket-update")
    @use_kwargs(_ARGUMENTS, location="query")
    def _tell_offset(self, bucket: Bucket, upload_id: uuid.UUID) -> Response:
        """Tell how far an upload has come, and stop a request that hangs.

        :param bucket: The bucket.
        :param upload_id: Identifier of the upload.
        """

        def tell(found: Resource) -> Response:
            if found.waits:
                if bucket.locked:
                    raise BucketLockedError(description=found.reason)
                finishing.finish(found.id)
                found = self._find(bucket, upload_id)
            return v1.head(found) if found.protocol == TUS else draft.head(bucket, found)

        # Clients that are answered another 4xx take the upload for lost, and begin anew.
        try:
            return self._as_it_is(bucket, upload_id, tell)
        except UploadLost as error:
            raise UploadBusy() from error
        except BucketLockedError as error:
            raise UploadBusy(description=error.description) from error

    @pass_bucket
    @need_bucket_permission("bucket-update")
    @use_kwargs(_ARGUMENTS, location="query")
    def _show_upload(self, bucket: Bucket, upload_id: uuid.UUID) -> Response:
        """Show how far an upload has come, and disturb nobody.

        :param bucket: The bucket.
        :param upload_id: Identifier of the upload.
        """
        shown = self._as_it_is(bucket, upload_id, discovery.describe)
        return Response(dumps(shown), mimetype="application/json")

    @classmethod
    def _as_it_is(cls, bucket: Bucket, upload_id: uuid.UUID, tell: Callable[[Resource], T]) -> T:
        """Tell of an upload, once more where its last bytes have come meanwhile."""
        found = cls._find(bucket, upload_id)
        try:
            return tell(found)
        except UploadClosed:
            again = cls._find(bucket, upload_id)
            if again.status == found.status:
                raise
            return tell(again)

    @staticmethod
    def _find(bucket: Bucket, upload_id: uuid.UUID) -> Resource:
        found = find(bucket, upload_id)
        if found.protocol == TUS:
            v1.announce()
        return found


def show_version(view: Any, bucket: Bucket, version_id: uuid.UUID) -> Response:
    """Answer with a version, as the request does that stores an object in one go.

    :param view: The view.
    :param bucket: The bucket.
    :param version_id: Identifier of the version.
    """
    version = as_object_version(version_id)
    if version is None:
        abort(404, description=NOT_FOUND)
    context = {"class": ObjectVersion, "bucket": bucket}
    response: Response = view.make_response(data=version, context=context, etag=version.file and version.file.checksum)
    return response


class ObjectUploadsMixin:
    """What an object's resource does with resumable uploads."""

    make_response: Callable[..., Response]
    readable_conditions: Callable[[Bucket, str], tuple[dict[str, str], Any]]

    def options(self, bucket_id: Any = None, **kwargs: Any) -> Response:
        """Tell what there is for the object."""
        return discovery.options(_bucket_of(bucket_id), with_tus=False)

    def resumable_object(self, bucket: Bucket, key: str, create_object: Callable[[Bucket, str], Response]) -> Response:
        """Store the body of a request of the draft, or the beginning of it.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param create_object: Function that stores what cannot be gone on with.
        """
        if draft.is_resumable(bucket):
            conditions, _ = self.readable_conditions(bucket, key)
            return draft.create(bucket, key, conditions, lambda version_id: show_version(self, bucket, version_id))
        draft.check_length()
        return draft.mark(create_object(bucket, key), complete=True)
