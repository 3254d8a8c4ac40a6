"""``/files/<bucket>/<key>``: store, serve and delete an object."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import methodcaller
from typing import Any

from flask import Response, abort, current_app, request
from marshmallow import missing
from sqlalchemy.exc import DBAPIError
from webargs import fields
from werkzeug.exceptions import HTTPException

from ..errors import FilesException, StorageError
from ..http.arguments import (
    NOT_FOUND,
    SUBRESOURCES,
    Identifier,
    as_uuid,
    flag,
    invalid_subresource_validator,
    refuse_stray_arguments,
    use_kwargs,
)
from ..http.preconditions import last_modified_of, write_conditions
from ..http.upload_body import read_upload
from ..keys import key_with_encoded_dots
from ..messages import lazy_gettext as _
from ..models import Bucket, ObjectVersion
from ..permissions import expect_actions
from ..proxies import current_permission_factory
from ..services.conditions import check_write_conditions
from ..services.objects import delete_object, remove_version, store_object
from ..services.presence import ensure_reachable
from ..services.transactions import release_connection
from ..signals import file_downloaded, notify
from ..tus import draft
from ..utils import load_or_import_from_config
from .base import FilesView, log_failure
from .copying import RESTORE, CopyMixin, expect_source_actions, is_copy
from .decorators import (
    actions_of_conditions,
    check_permission,
    ensure_acceptable,
    ensure_input_stream_is_not_exhausted,
    ensure_unlocked,
    need_bucket_permission,
    need_permissions,
    pass_bucket,
)
from .multipart import MultipartMixin
from .resumable import ObjectUploadsMixin
from .tags import ObjectTagsMixin, is_about_tags, or_of_tags

VERSION = {"version_id": Identifier(data_key="versionId", load_default=None)}
UPLOAD = {"upload_id": Identifier(data_key="uploadId", load_default=None)}
NO_UPLOADS = {"uploads": fields.Raw(data_key="uploads", validate=invalid_subresource_validator)}


def _check_live_head(conditions: Mapping[str, str], head: ObjectVersion | None) -> None:
    """Check the conditions of a request against the head of an object, which must exist."""
    check_write_conditions(conditions, head)
    if head is None:
        abort(404, description=NOT_FOUND)


def _actions_of_change() -> Iterable[str]:
    """Return the actions, other than to change the bucket, that a request will be checked for."""
    return [*actions_of_conditions(), *expect_source_actions()]


_OPEN_ATTEMPTS = 5
"""Number of times to open a file that is migrated, and removed from its old location, at the same moment."""


def _sent(obj: ObjectVersion, send: Callable[[ObjectVersion], Response]) -> Response:
    """Send a version; if its file has moved since the version was read from the database, from the new location."""
    for attempt in range(1, _OPEN_ATTEMPTS + 1):
        bucket_id, key, version_id, uri = obj.bucket_id, obj.key, obj.version_id, obj.file.uri
        try:
            return send(obj)
        except StorageError as error:
            if error.__cause__ is None:
                raise
            release_connection()
            current = ObjectVersion.get(bucket_id, key, version_id)
            if current is None or current.file is None:
                abort(404, description=NOT_FOUND)
            if current.file.uri == uri or attempt == _OPEN_ATTEMPTS:
                ensure_reachable(uri)
                raise
            obj = current
    raise AssertionError("unreachable")


class ObjectResource(CopyMixin, MultipartMixin, ObjectTagsMixin, ObjectUploadsMixin, FilesView):
    """An object."""

    takes_stream = True

    @staticmethod
    def check_object_permission(obj: ObjectVersion) -> None:
        """Check that the current identity may read a version.

        :param obj: The version.
        """
        check_permission(current_permission_factory(obj, "object-read"))
        if not obj.is_head:
            check_permission(current_permission_factory(obj, "object-read-version"), hidden=False)

    @classmethod
    def get_object(
        cls, bucket: Bucket | uuid.UUID | str, key: str, version_id: uuid.UUID | str | None
    ) -> ObjectVersion:
        """Return an object after checking that the current identity may read it.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param version_id: Identifier of a version; by default the head.
        :raises werkzeug.exceptions.NotFound: If it does not exist, or is hidden.
        """
        # Views of other packages pass identifiers as strings from the URL.
        bucket = as_uuid(bucket) if isinstance(bucket, str) else bucket
        version_id = as_uuid(version_id) if isinstance(version_id, str) else version_id
        found, obj = cls._find(bucket, key, version_id)
        if obj is None and version_id is not None and (meant := key_with_encoded_dots(key)) is not None:
            found, obj = cls._find(bucket, meant, version_id)
        if found is None or found.deleted:
            abort(404, description=NOT_FOUND)
        if version_id is not None:
            expect_actions(found, "object-read-version")
        cls.check_read_permission(found, key, obj)
        if obj is None:
            abort(404, description=NOT_FOUND)
        return obj

    @staticmethod
    def _find(bucket: Any, key: str, version_id: uuid.UUID | None) -> tuple[Bucket | None, ObjectVersion | None]:
        """Return a bucket, given itself or its identifier, and an object in it."""
        if isinstance(bucket, Bucket):
            return bucket, ObjectVersion.get(bucket, key, version_id=version_id)
        return ObjectVersion.find(bucket, key, version_id=version_id)

    @classmethod
    def check_read_permission(cls, bucket: Bucket, key: str, obj: ObjectVersion | None) -> None:
        """Check that the current identity may read an object, or may know that it does not exist.

        If it does not exist, the permission is checked on what :meth:`ObjectVersion.absent` returns, so that neither
        the response nor its timing reveals whether the object exists.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param obj: The version; ``None`` if it does not exist.
        """
        if obj is not None:
            cls.check_object_permission(obj)
            return
        try:
            cls.check_object_permission(ObjectVersion.absent(bucket, key))
        except (HTTPException, DBAPIError):
            raise
        except Exception:
            # A custom permission factory may expect the object to have a file.
            current_app.logger.warning("The permission to read an object that is not there failed.", exc_info=True)
            abort(404, description=NOT_FOUND)

    @classmethod
    def readable_conditions(cls, bucket: Bucket, key: str) -> tuple[dict[str, str], ObjectVersion | None]:
        """Return the conditions of a request that stores an object, after checking that their result may be revealed.

        :param bucket: The bucket.
        :param key: Key of the object.
        :returns: The conditions; and the current head of the object, if there are conditions.
        :raises werkzeug.exceptions.NotFound: If there are conditions, and the current identity may not read the object.
        """
        conditions = write_conditions(request)
        if not conditions:
            return conditions, None
        head = ObjectVersion.get(bucket, key)
        cls.check_read_permission(bucket, key, head)
        return conditions, head

    def create_object(self, bucket: Bucket, key: str) -> Response:
        """Store the file of the request as a new version.

        :param bucket: The bucket.
        :param key: Key of the object.
        :returns: The version.
        """
        conditions, head = self.readable_conditions(bucket, key)
        check_write_conditions(conditions, head)
        precondition = partial(check_write_conditions, conditions) if conditions else None
        upload = read_upload(bucket.size_limit)
        obj = store_object(bucket, key, upload.stream, size=upload.size, tags=upload.tags, precondition=precondition)
        context = {"class": ObjectVersion, "bucket": bucket}
        return self.make_response(data=obj, context=context, etag=obj.file.checksum)

    @use_kwargs({**VERSION, **UPLOAD, **NO_UPLOADS, "download": flag("download")}, location="query")
    def get(
        self,
        bucket: Any = None,
        key: Any = None,
        version_id: uuid.UUID | None = None,
        upload_id: uuid.UUID | None = None,
        uploads: Any = None,
        download: Any = None,
        bucket_id: Any = None,
    ) -> Response:
        """Send an object.

        :param bucket: The bucket, or its identifier.
        :param key: Key of the object.
        :param version_id: Identifier of a version.
        :param upload_id: Identifier of a multipart upload, to list its parts.
        :param uploads: Never set.
        :param download: Set to send the object as an attachment.
        :param bucket_id: Identifier of the bucket as it is in the URL, so that one query finds bucket and object.
        """
        if upload_id is not None and bucket is None:
            return self._get_parts(bucket_id=bucket_id, key=key, upload_id=upload_id)
        if upload_id is not None:
            return self.multipart_listparts(bucket, key, upload_id)
        obj = self.get_object(bucket_id if bucket is None else bucket, key, version_id)
        if is_about_tags():
            return self.show_tags(obj)
        return self.send_object(obj.bucket, obj, as_attachment=download is not None)

    @pass_bucket
    def _get_parts(self, bucket: Any = None, **upload: Any) -> Response:
        return self.multipart_listparts(bucket, **upload)

    @staticmethod
    def send_object(
        bucket: Bucket,
        obj: ObjectVersion,
        expected_chksum: str | None = None,
        logger_data: dict[str, Any] | None = None,
        restricted: bool = True,
        as_attachment: bool = False,
    ) -> Response:
        """Send a version of an object.

        :param bucket: The bucket.
        :param obj: The version.
        :param expected_chksum: Checksum that the file should have; a different one is logged.
        :param logger_data: Further data for that log record.
        :param restricted: Whether shared caches must not store the file.
        :param as_attachment: Whether the browser should save it instead of showing it.
        """
        if obj.file is None:
            abort(404, description=NOT_FOUND)
        if expected_chksum and obj.file.checksum != expected_chksum:
            current_app.logger.warning(
                "The file %s has the checksum %s, not %s as expected.",
                obj.file_id,
                obj.file.checksum,
                expected_chksum,
                extra=logger_data or {},
            )
        send: Callable[[Any], Response] = methodcaller(
            "send_file",
            restricted=restricted,
            as_attachment=as_attachment,
            last_modified=last_modified_of(request, obj),
        )
        if current_app.config["FILES_REST_XSENDFILE_ENABLED"]:
            send = load_or_import_from_config("FILES_REST_XSENDFILE_RESPONSE_FUNC")
        try:
            response = _sent(obj, send)
        except FilesException as error:
            # Views of other packages have no error handler that logs it.
            log_failure(error)
            raise
        if request.method == "GET" and response.status_code in (200, 206):
            notify(file_downloaded, obj)
        return response

    @or_of_tags("put_tags")
    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_change)
    @ensure_unlocked
    @use_kwargs(UPLOAD, location="query")
    @ensure_acceptable
    @ensure_input_stream_is_not_exhausted
    def put(self, bucket: Any = None, key: Any = None, upload_id: uuid.UUID | None = None) -> Response:
        """Store an object.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param upload_id: Identifier of a multipart upload, to store a part of it.
        """
        if upload_id is not None:
            refuse_stray_arguments("uploadId", "partNumber", "part")
            return self.multipart_uploadpart(bucket, key, upload_id)
        if is_copy():
            return self.copy_or_move(bucket, key)
        refuse_stray_arguments()
        if draft.completes() is not None:
            return self.resumable_object(bucket, key, self.create_object)
        return self.create_object(bucket, key)

    @pass_bucket
    @need_bucket_permission("bucket-update", along=_actions_of_change)
    @ensure_unlocked
    @use_kwargs({**UPLOAD, "uploads": flag("uploads")}, location="query")
    @ensure_acceptable
    def post(
        self, bucket: Any = None, key: Any = None, uploads: Any = missing, upload_id: uuid.UUID | None = None
    ) -> Response:
        """Begin or complete a multipart upload, or begin one of the IETF draft.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param uploads: Set to begin an upload.
        :param upload_id: Identifier of the upload to complete.
        """
        if uploads is not missing:
            refuse_stray_arguments("uploads", "size", "partSize")
            return self.multipart_init(bucket, key)
        if RESTORE in request.args:
            return self.restore(bucket, key)
        if upload_id is None and draft.completes() is not None:
            refuse_stray_arguments()
            return self._resume_post(bucket, key)
        if upload_id is None:
            refuse_stray_arguments(*SUBRESOURCES)
            abort(403, description=_("A POST begins or completes a multipart upload: it needs uploads or uploadId."))
        refuse_stray_arguments("uploadId")
        return self.multipart_complete(bucket, key, upload_id)

    @ensure_input_stream_is_not_exhausted
    def _resume_post(self, bucket: Bucket, key: str) -> Response:
        return self.resumable_object(bucket, key, self.create_object)

    @or_of_tags("delete_tags")
    @use_kwargs({**VERSION, **UPLOAD, **NO_UPLOADS}, location="query")
    @pass_bucket
    def delete(
        self,
        bucket: Any = None,
        key: Any = None,
        version_id: uuid.UUID | None = None,
        upload_id: uuid.UUID | None = None,
        uploads: Any = None,
    ) -> Response:
        """Delete an object, or remove a version of it permanently.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param version_id: Identifier of the version to remove.
        :param upload_id: Identifier of a multipart upload, to abort it.
        :param uploads: Never set.
        """
        if upload_id is not None:
            return self.multipart_delete(bucket, key, upload_id)
        expect_actions(bucket, "object-delete", *(["object-delete-version"] if version_id is not None else []))
        obj = self.get_object(bucket, key, version_id)
        return self.delete_object(bucket, obj, version_id)

    @need_permissions(lambda self, bucket, obj, version_id: obj, "object-delete", hidden=False)
    def delete_object(self, bucket: Bucket, obj: ObjectVersion, version_id: uuid.UUID | None) -> Response:
        """Delete an object, or remove a version of it permanently.

        :param bucket: The bucket.
        :param obj: The head, or the version.
        :param version_id: Identifier of the version to remove; ``None`` to add a delete marker.
        """
        if version_id is not None:
            check_permission(current_permission_factory(bucket, "object-delete-version"), hidden=False)
        refuse_stray_arguments("versionId")
        conditions = write_conditions(request)
        check_write_conditions(conditions, obj, last_modified_of(request, obj))
        if version_id is None:
            delete_object(bucket, obj.key, partial(_check_live_head, conditions))
        # A version never changes, so its conditions need no lock.
        elif not remove_version(obj):
            abort(404, description=NOT_FOUND)
        return self.make_response(None, 204)
