"""Tasks that remove unused files and expired uploads."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from itertools import islice

from flask import current_app

from ..models import FileInstance
from ..services import removal
from ..services.batches import in_batches
from ..services.dispatch import send_task
from ..services.uploads.plans import TABLES
from .declaring import task
from .named import named_function


@task("remove_file_data", ignore_result=True)
def remove_file_data(file_id: str | uuid.UUID, silent: bool = True, force: bool = False) -> bool:
    """Remove a file that nothing refers to: first its row, then its bytes.

    :param file_id: Identifier of the file.
    :param silent: Whether to raise no error if the file is still in use; it stays in any case.
    :param force: Whether to remove a file that is not ``writable``, too.
    :returns: Whether the file was removed.
    :raises sqlalchemy.exc.IntegrityError: If it is in use, unless ``silent``.
    :raises LocationAwayError: If its location is away; its row stays until the bytes are back.
    """
    return removal.remove_file_data(file_id, silent=silent, force=force)


def _never(file: FileInstance) -> bool:
    return False


@task("clear_orphaned_files", ignore_result=True, store_errors_even_if_ignored=True)
def clear_orphaned_files(force_delete_check: Callable[[FileInstance], bool] | str = _never, limit: int = 1000) -> int:
    """Send :func:`remove_file_data` for the files that no object version and no multipart upload refers to.

    A file that is not ``writable``, such as every file that is completely stored, is removed only if the check returns
    ``True``, even if it lies outside all locations.

    :param force_delete_check: Function ``(file) -> bool``, or its import path. A path in a message has to be
        registered; see :data:`~invenio_files_rest.config.FILES_REST_TASK_FUNCTIONS`.
    :param limit: Number of these files to look at; 0 or less for all. Each run begins at a random one, so that files
        that stay do not hide the others.
    :returns: The number of files that are being removed.
    :raises ValueError: If ``force_delete_check`` is not registered.
    """
    check = named_function(force_delete_check)
    sent = 0
    for file in islice(_orphans(only_writable=check is _never), limit if limit > 0 else None):
        force = bool(check(file))
        if file.writable or force:
            send_task("remove_file_data", str(file.id), force=force)
            sent += 1
    return sent


def _orphans(only_writable: bool) -> Iterator[FileInstance]:
    """Find the files that nothing refers to, beginning at a random one."""
    query, start = FileInstance.query_orphaned(), uuid.uuid4()
    if only_writable:
        query = query.filter(FileInstance.writable)
    for part in (query.filter(FileInstance.id >= start), query.filter(FileInstance.id < start)):
        for batch in in_batches(part, FileInstance.id):
            yield from batch


@task("remove_expired_multipartobjects", ignore_result=True)
def remove_expired_multipartobjects() -> int:
    """Remove the uploads that have not been used for ``FILES_REST_MULTIPART_EXPIRES``.

    Their parts and their bytes go, and what they have claimed is given back to the bucket. Those of free shape whose
    completion was forgotten are completed.

    :returns: The number of uploads removed.
    """
    removed = 0
    for tables in TABLES:
        for upload in tables.forgotten():
            if upload.is_whole:
                send_task("complete_upload", str(upload.id))
                continue
            try:
                removed += tables.expire(upload.id)
            except Exception:
                # One that cannot be removed, for its storage fails say, must not keep the others.
                current_app.logger.exception("The expired upload %s could not be removed.", upload.id)
    return removed
