"""Access to the files of a record of any class: their order, the file for a name, a download view."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Response, abort, request
from invenio_files_rest.models import Bucket, ObjectVersion
from invenio_files_rest.views import ObjectResource
from invenio_records.errors import MissingModelError

if TYPE_CHECKING:
    from .files import FileObject

try:
    from invenio_files_rest.views.base import for_who_asked
except ImportError:
    # Version 6.1 does not forbid caching.
    def for_who_asked(f: Any) -> Any:  # type: ignore[misc]
        """Return the view unchanged."""
        return f


def sorted_files_from_bucket(bucket: Bucket, keys: Iterable[str] | None = None) -> list[ObjectVersion]:
    """Return the objects of a bucket in a given order.

    :param bucket: The bucket.
    :param keys: Keys in the order wanted. Objects with other keys follow, ordered by key.
    """
    places = {key: place for place, key in enumerate(keys or [])}
    heads: dict[str, ObjectVersion] = {}
    for obj in ObjectVersion.get_by_bucket(bucket, with_deleted=True):
        # The newest comes first, in case a snapshot on MySQL has two heads.
        heads.setdefault(obj.key, obj)
    objects = [obj for obj in heads.values() if not obj.deleted]
    return sorted(objects, key=lambda obj: places.get(obj.key, len(places)))


def record_file_factory(pid: Any, record: Any, filename: str | None) -> FileObject | None:
    """Return a file of a record.

    :param pid: Not used; an argument of all such factories.
    :param record: The record.
    :param filename: Key of the file.
    :returns: The file; ``None`` if it does not exist, the record is not in the database, or its class has no files.
    """
    try:
        files = getattr(record, "files", None)
        file: FileObject | None = None if files is None or filename is None else files[filename]
    except (KeyError, MissingModelError):
        return None
    return file


@for_who_asked
def file_download_ui(
    pid: Any,
    record: Any,
    _record_file_factory: Callable[[Any, Any, str | None], Any] | None = None,
    **kwargs: Any,
) -> Response:
    """Send a file of a record: a view for ``RECORDS_UI_ENDPOINTS``, whose route has ``<path:filename>``.

    With ``download`` in the query string, the browser saves the file. A checksum that differs from the one in the
    record is logged.

    :param pid: Persistent identifier of the record.
    :param record: The record.
    :param _record_file_factory: Function that finds the file; by default :func:`record_file_factory`.
    :param kwargs: Arguments of the route, ``filename`` among them.
    :raises werkzeug.exceptions.NotFound: If the file does not exist, or the current identity may not read it.
    """
    find = _record_file_factory or record_file_factory
    file = find(pid, record, kwargs.get("filename"))
    if file is None:
        abort(404)
    obj = file.obj
    ObjectResource.check_object_permission(obj)
    return ObjectResource.send_object(
        obj.bucket,
        obj,
        expected_chksum=file.get("checksum"),
        logger_data={"bucket_id": obj.bucket_id, "pid_type": pid.pid_type, "pid_value": pid.pid_value},
        as_attachment="download" in request.args,
    )
