"""The sweep: finding and removing what crashes, and removals that were not finished, have left behind.

It looks for four things, in this order: uploads that nobody goes on with, rows of files that nothing refers to,
files that no row names, and temporary files and empty folders. What is young is left alone, since an upload writes
bytes first and commits their row afterwards.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any

from flask import current_app
from invenio_db import db
from sqlalchemy.exc import SQLAlchemyError

from ..errors import StorageError
from ..instrumentation import sweep_ended, tell
from ..models import FileInstance, Location
from ..models.base import utcnow
from ..models.inventory import delete_unused, files_in_progress, known_files, uploads_in_progress
from ..paths import folders_inside
from ..storage.capabilities import Entry, Listable, capability_of
from .batches import in_batches
from .finding import Finding
from .links import Links
from .presence import AwayLocations, storage_for, why_away
from .transactions import in_transaction
from .uploads.interface import Forgotten, Keeping
from .uploads.plans import TABLES

PATHS_PER_QUERY = 500
"""How many files are looked up in the database at a time."""


def sweep(grace: timedelta, delete: bool) -> Iterator[Finding]:
    """Find, and remove, what is left over.

    :param grace: Time for which something has to have been as it is. It has to be longer than the longest pause in any
        upload, and than the longest transaction that stores a file; where an object storage tells when
        the upload of an object began, as S3 does for one in parts, than the longest whole upload.
    :param delete: Whether to remove what is found.
    """
    found: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for finding in _everything(grace, delete):
        found[finding.kind] += 1
        left[finding.kind] += not finding.done
        yield finding
    tell(sweep_ended, found=found, left=+left)


def _everything(grace: timedelta, delete: bool) -> Iterator[Finding]:
    yield from _uploads(grace, delete)
    yield from _orphans(grace, delete)
    before = time.time() - grace.total_seconds()
    locations = Location.rows()
    roots, links = {location.uri for location in locations}, Links()
    for location in locations:
        yield from _location(location, roots, links, before, delete)


def _location(location: Any, roots: set[str], links: Links, before: float, delete: bool) -> Iterator[Finding]:
    """Find what is left over in a location, or tell why nobody can look."""
    try:
        if (reason := why_away(location)) is not None:
            yield Finding("location", location.uri, reason)
            return
        yield from _storage(location.uri, roots, links, before, delete)
        return
    except FileNotFoundError:
        error = None
    except SQLAlchemyError:
        raise
    except Exception as caught:
        # Each storage has errors of its own, and none may keep the other locations from being swept.
        current_app.logger.exception("The sweep could not look into the location %s.", location.name)
        error = caught
    if error is None:
        yield Finding("location", location.uri, f"The folder of the location {location.name} is not there.")
    else:
        text = f"The location {location.name} could not be looked at, or not to its end."
        yield Finding("skipped", location.uri, text, error=f"{type(error).__name__}: {error}")


class _UsedAgainError(Exception):
    """What was left over has come into use meanwhile."""


def _tried(finding: Finding, delete: bool, remove: Callable[[], Any]) -> Iterator[Finding]:
    """Tell what was found; remove it where it is to be removed, and note on the finding whether that succeeded."""
    try:
        if delete:
            remove()
            finding.done = True
    except _UsedAgainError:
        return
    except Exception as error:
        db.session.rollback()
        current_app.logger.exception("The sweep could not remove %s.", finding.name)
        finding.error = f"{type(error).__name__}: {error}"
    yield finding


def _uploads(grace: timedelta, delete: bool) -> Iterator[Finding]:
    def end(tables: Keeping, upload: Forgotten) -> None:
        if upload.is_whole:
            tables.finish(upload.id)
        elif not tables.expire(upload.id):
            raise _UsedAgainError

    for tables in TABLES:
        for upload in tables.forgotten(grace):
            what = "has all its bytes, and was not completed" if upload.is_whole else "has expired"
            finding = Finding("upload", str(upload.id), f"The upload of {upload.key!r} {what}.", upload.size)
            yield from _tried(finding, delete, partial(end, tables, upload))


def _orphans(grace: timedelta, delete: bool) -> Iterator[Finding]:
    before = utcnow() - grace
    query = FileInstance.query_orphaned().filter(FileInstance.updated < before)
    columns = FileInstance.id, FileInstance.uri, FileInstance.size, FileInstance.storage_class, FileInstance.updated
    away = AwayLocations()
    for found in in_batches(query.with_entities(*columns), FileInstance.id):
        batch = [row for row in found if not away.have(row.uri)]
        file_ids = [row.id for row in batch]
        removed = in_transaction(partial(delete_unused, file_ids, before)) if delete else set(file_ids)
        for row in batch:
            if row.id not in removed:
                # Somebody has come to refer to it.
                continue
            is_ours = Location.of_uri(row.uri, away.around) is not None
            where = f"{row.uri}." if is_ours else f"{row.uri}, which lies elsewhere and stays."
            text = (
                f"Nothing refers to the file {where}" if row.uri else "Nothing refers to the file, which has no bytes."
            )
            finding = Finding("orphan", str(row.id), text, row.size if is_ours else None, done=delete and not is_ours)
            yield from _tried(finding, delete and is_ours, partial(_delete_bytes, FileInstance(**row._asdict())))


def _delete_bytes(file: FileInstance) -> None:
    file.storage().delete()


def _storage(uri: str, roots: set[str], links: Links, before: float, delete: bool) -> Iterator[Finding]:
    listable = _listable(uri)
    entries = listable.walk(uri, before, links)
    inner = folders_inside(uri, roots)
    while batch := list(islice(entries, PATHS_PER_QUERY)):
        unnamed = _unnamed([entry for entry in batch if entry.kind == "file"])
        temporary = {entry.file_id for entry in batch if entry.file_id and entry.kind == "temporary"}
        in_progress = in_transaction(partial(_in_progress, temporary)) if temporary else set()
        for entry in batch:
            if entry.kind == "temporary" and entry.file_id in in_progress:
                continue
            if entry.kind == "file" and entry not in unnamed:
                continue
            # A location in this one is empty in the beginning.
            if entry.kind == "folder" and any(path.startswith(entry.below) for path in inner):
                continue
            if entry.kind == "link":
                text = f"{links.why_not} What is behind it was left."
                yield Finding(entry.kind, entry.path, text, done=delete)
                continue
            text = {
                "file": "No row names the file.",
                "temporary": "The file was never completed.",
                "folder": "The folder is empty.",
            }[entry.kind]
            finding = Finding(entry.kind, entry.path, text, entry.size)
            yield from _tried(finding, delete, partial(_remove, listable, uri, entry))


def _in_progress(file_ids: set[Any]) -> set[Any]:
    """Return which files are not complete yet, and still may be."""
    return uploads_in_progress(file_ids) | files_in_progress(file_ids)


def _listable(uri: str) -> Listable:
    storage = storage_for(FileInstance.new(), uri)
    listable = capability_of(storage, Listable)
    if listable is None:
        raise StorageError(f"{type(storage).__name__} does not list its files.")
    return listable


def _unnamed(entries: list[Entry]) -> set[Entry]:
    """Find the files that no row names: neither by identifier nor by any way to write their URI."""
    uris = {uri: entry for entry in entries for uri in entry.uris}
    file_ids = [entry.file_id for entry in entries if entry.file_id]
    known_ids, known_uris = in_transaction(lambda: known_files(file_ids, list(uris))) if entries else (set(), set())
    named = {uris[known].path for known in known_uris}
    return {entry for entry in entries if entry.file_id not in known_ids and entry.path not in named}


def _remove(listable: Listable, uri: str, entry: Entry) -> None:
    if entry.kind == "file":
        storage_class = current_app.config["FILES_REST_DEFAULT_STORAGE_CLASS"]
        _delete_bytes(FileInstance(id=entry.file_id, uri=entry.uris[0], size=entry.size, storage_class=storage_class))
        return
    try:
        listable.remove(uri, entry)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _UsedAgainError from error
        raise
