"""Verification on the command line: as the scheduled tasks do it, but here and now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ..models.base import utcnow
from ..models.inventory import files_in_bucket
from ..tasks import default_checksum_verification_files_query
from ..tasks.fixity import due_files
from .check import verify_file
from .finding import Finding


def files_to_verify(bucket_id: Any = None) -> Any:
    """Return a query of the files that can be verified.

    :param bucket_id: Identifier of a bucket to confine it to.
    """
    query = default_checksum_verification_files_query()
    return query if bucket_id is None else query.filter(files_in_bucket(bucket_id))


def verify(query: Any, older_than: timedelta, limit: int | None) -> Iterator[Finding | None]:
    """Verify files, those that were never checked first, then those whose last check is longest ago.

    :param query: Query of the files.
    :param older_than: Time for which a file has not been checked.
    :param limit: Largest number of files.
    """
    for file_id, _ in due_files(query, utcnow() - older_than, limit):
        yield verify_file(file_id)
