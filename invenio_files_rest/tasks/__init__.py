"""Celery tasks. Each can safely run twice, and returns what it did.

A task holds no database connection while it reads or copies bytes.
"""

from .fixity import (
    default_checksum_verification_files_query,
    progress_updater,
    schedule_checksum_verification,
    verify_checksum,
)
from .moving import merge_multipartobject, migrate_file
from .removal import clear_orphaned_files, remove_expired_multipartobjects, remove_file_data
from .uploads import complete_upload

__all__ = (
    "clear_orphaned_files",
    "complete_upload",
    "default_checksum_verification_files_query",
    "merge_multipartobject",
    "migrate_file",
    "progress_updater",
    "remove_expired_multipartobjects",
    "remove_file_data",
    "schedule_checksum_verification",
    "verify_checksum",
)
