"""``/files/<bucket>/<key>?uploads`` and ``?uploadId=``: an object that arrives in parts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

from celery.exceptions import TimeoutError as TaskTimeoutError
from celery.result import AsyncResult
from flask import Response, abort, current_app, stream_with_context
from webargs import fields
from werkzeug.exceptions import HTTPException

from ..conditions import PreconditionFailed
from ..errors import MissingQueryParameter, MultipartAlreadyCompleted
from ..models import Bucket, MultipartObject, ObjectVersion, Part, as_object_version
from ..proxies import current_files_rest
from ..serializer import MultipartObjectSchema, PartSchema, dumps
from ..storage.stream import VerifiedStream
from ..tasks import merge_multipartobject
from ..transactions import release_connection
from ..uploading import abort_upload, begin_upload, complete_upload, store_part
from .arguments import NOT_FOUND, use_kwargs
from .decorators import need_permissions
from .uploads import body_stream, is_form, read_digests

NOT_MERGED = "The parts could not be merged. Completing again may succeed."

_MESSAGES = {
    412: f"{PreconditionFailed.description} The upload is open again.",
    500: NOT_MERGED,
    504: "The parts are still being merged. The object will appear.",
}
"""What a client learns of a merge that did not end well while it waited, by the status."""

_POLL_SECONDS = 0.1
"""Seconds between two looks at a result, where the result backend cannot tell by itself that there is one."""


def pass_multipart(with_completed: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Pass the multipart upload that ``uploadId`` names, as ``multipart``.

    :param with_completed: Whether it may be completed.
    """

    def decorator(f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def inner(self: Any, bucket: Bucket, key: str, upload_id: uuid.UUID, *args: Any, **kwargs: Any) -> Any:
            upload = MultipartObject.get(bucket, key, upload_id, with_completed=with_completed)
            if upload is None:
                abort(404, description=NOT_FOUND)
            return f(self, upload, *args, **kwargs)

        return inner

    return decorator


@use_kwargs(
    {
        "part_number": fields.Integer(data_key="partNumber", load_default=None),
        "part": fields.Integer(load_default=None),
    },
    location="query",
)
@use_kwargs(
    {
        "content_length": fields.Integer(data_key="Content-Length", load_default=None),
        "content_type": fields.String(data_key="Content-Type", load_default=""),
        "content_md5": fields.String(data_key="Content-MD5", load_default=None),
    },
    location="headers",
)
def default_partfactory(
    part_number: int | None = None,
    content_length: int | None = None,
    content_type: str | None = None,
    content_md5: str | None = None,
    part: int | None = None,
) -> tuple[int | None, int | None, Any, str | None, str | None]:
    """Take the body as a part, unless it is ``multipart/form-data``.

    :param part_number: Value of ``partNumber`` in the query.
    :param content_length: Value of ``Content-Length``, in bytes.
    :param content_type: Value of ``Content-Type``.
    :param content_md5: Value of ``Content-MD5``.
    :param part: Value of ``part``, which the documentation's table has for ``partNumber``.
    :returns: The length in bytes, the part's number, the stream, the content type, and the ``Content-MD5``.
    """
    number = part if part_number is None else part_number
    if number is None or is_form(content_type):
        return None, None, None, None, None
    return content_length, number, body_stream(), content_type, content_md5


@use_kwargs({"content_type": fields.String(data_key="Content-Type", load_default="")}, location="headers")
@use_kwargs(
    {
        "part_number": fields.Integer(data_key="_chunkNumber", load_default=None),
        "content_length": fields.Integer(data_key="_currentChunkSize", load_default=None),
    },
    location="form",
)
@use_kwargs({"uploaded_file": fields.Raw(data_key="file", load_default=None)}, location="files")
def ngfileupload_partfactory(
    part_number: int | None = None,
    content_length: int | None = None,
    uploaded_file: Any = None,
    content_type: str | None = None,
) -> tuple[int | None, int | None, Any, str | None, str | None]:
    """Take the field ``file`` of a form as a part, as ng-file-upload sends it.

    :param part_number: Value of the field ``_chunkNumber``.
    :param content_length: Value of the field ``_currentChunkSize``, in bytes.
    :param uploaded_file: The field ``file``.
    :param content_type: Value of the header ``Content-Type``.
    :returns: The length in bytes, the part's number, the stream, the content type, and no ``Content-MD5``.
    """
    if not is_form(content_type):
        return None, None, None, None, None
    if uploaded_file is None or part_number is None:
        return None, None, None, None, None
    return content_length, part_number, uploaded_file.stream, uploaded_file.content_type, None


class MultipartMixin:
    """What an object's resource does with multipart uploads."""

    make_response: Callable[..., Response]
    readable_conditions: Callable[[Bucket, str], tuple[dict[str, str], ObjectVersion | None]]

    @use_kwargs({"size": fields.Integer(), "part_size": fields.Integer(data_key="partSize")}, location="query_or_json")
    def multipart_init(
        self, bucket: Bucket, key: str, size: int | None = None, part_size: int | None = None
    ) -> Response:
        """Begin a multipart upload.

        The request's conditions are judged now, and not kept: what has to hold at the end is said at the end.

        :param bucket: The bucket.
        :param key: Key of the object.
        :param size: Size of the file, in bytes.
        :param part_size: Size of a part, in bytes.
        :raises MissingQueryParameter: Where either is missing.
        """
        if size is None:
            raise MissingQueryParameter("size")
        if part_size is None:
            raise MissingQueryParameter("partSize")
        conditions, _ = self.readable_conditions(bucket, key)
        upload = begin_upload(bucket, key, size, part_size, conditions)
        return self.make_response(data=upload, context={"class": MultipartObject})

    @pass_multipart(with_completed=True)
    def multipart_uploadpart(self, multipart: MultipartObject) -> Response:
        """Store a part.

        :param multipart: The upload.
        :raises MultipartAlreadyCompleted: Where it takes no more parts; the body is not read.
        """
        if multipart.completed:
            raise MultipartAlreadyCompleted()
        size, part_number, stream, _, content_md5, *_ = current_files_rest.multipart_partfactory()
        if stream is None:
            abort(400, description="The request has no part: a body needs a Content-Length, or to be chunked.")
        digests = read_digests(content_md5)
        if digests:
            stream = VerifiedStream(stream, digests)
        part = store_part(multipart, part_number, stream, size)
        return self.make_response(data=part, context={"class": Part}, etag=part.checksum)

    @pass_multipart(with_completed=True)
    @need_permissions(lambda self, multipart: multipart, "multipart-read")
    def multipart_listparts(self, multipart: MultipartObject) -> Response:
        """Show an upload and its parts.

        :param multipart: The upload.
        """
        parts = Part.query_by_multipart(multipart).all()
        body = {"parts": PartSchema(many=True).dump(parts), **MultipartObjectSchema().dump(multipart)}
        return current_app.response_class(dumps(body), mimetype="application/json")

    @pass_multipart(with_completed=True)
    def multipart_complete(self, multipart: MultipartObject) -> Response:
        """Complete an upload: have its parts made a version, and wait for that.

        An upload that is completed, but whose merge never ended, is merged again.

        The request's conditions are judged now and, under the lock of the bucket, when the version is recorded; where
        they do not hold then, the upload is open again.

        :param multipart: The upload.
        """
        conditions, _ = self.readable_conditions(multipart.bucket, multipart.key)
        multipart = complete_upload(multipart, conditions)
        body = MultipartObjectSchema().dump(multipart)
        version_id = multipart.version_id
        body["links"]["object_version"] = f"{body['links']['object']}?versionId={version_id}"
        upload_id = multipart.upload_id
        release_connection()
        try:
            # Workers of 6.1 take no conditions: they shall have what they can do.
            with_conditions = {"conditions": conditions} if conditions else {}
            result = merge_multipartobject.delay(str(upload_id), str(version_id), **with_conditions)
        except HTTPException:
            raise
        except Exception:
            current_app.logger.exception("The merge of upload %s could not be sent, or failed at once.", upload_id)
            abort(503, description=NOT_MERGED)
        return current_app.response_class(
            stream_with_context(_wait_for_merge(result, upload_id, body)), mimetype="application/json"
        )

    @pass_multipart(with_completed=True)
    @need_permissions(lambda self, multipart: multipart, "multipart-delete")
    def multipart_delete(self, multipart: MultipartObject) -> Response:
        """Abort an upload.

        :param multipart: The upload.
        """
        abort_upload(multipart)
        return self.make_response(None, 204)


def _wait_for_merge(result: AsyncResult, upload_id: uuid.UUID, body: dict[str, Any]) -> Iterator[str]:
    """Send white space while a merge runs, so that the connection stays open, and then what came of it, in JSON."""
    interval = current_app.config["FILES_REST_TASK_WAIT_INTERVAL"]
    give_up = time.monotonic() + current_app.config["FILES_REST_TASK_WAIT_MAX_SECONDS"]
    ask = partial(_result_tells, result)
    while True:
        try:
            status = ask(interval)
        except Exception as error:
            if not isinstance(error, NotImplementedError):
                current_app.logger.warning("The result backend does not answer: %s", error)
            # Without a result backend the database tells, once the merge has ended well or the upload is open again.
            ask, status = partial(_database_tells, upload_id), None
        if status is not None:
            break
        if time.monotonic() > give_up:
            status = 504
            break
        yield " "
    yield dumps({"status": status, "message": _MESSAGES[status]} if status in _MESSAGES else body)


def _result_tells(result: AsyncResult, seconds: float) -> int | None:
    """Wait for a merge, and tell its status as of HTTP; ``None`` where it is still running."""
    try:
        # Celery takes us for a task where one runs at once, without a worker, in another thread of this process.
        pause = min(_POLL_SECONDS, seconds)
        result.get(timeout=seconds, interval=pause, propagate=False, disable_sync_subtasks=False)
    except TaskTimeoutError:
        return None
    if result.successful():
        return 200
    return 412 if isinstance(result.result, PreconditionFailed) else 500


def _database_tells(upload_id: uuid.UUID, seconds: float) -> int | None:
    """Wait, and tell the status of a merge as of HTTP; ``None`` where it has not ended, or has failed."""
    time.sleep(seconds)
    merged = as_object_version(MultipartObject.version_id_of(upload_id)) is not None
    refused = not merged and MultipartObject.is_open(upload_id)
    release_connection()
    return 200 if merged else 412 if refused else None
