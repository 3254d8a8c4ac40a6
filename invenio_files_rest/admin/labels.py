"""What the administration calls its columns and fields."""

from __future__ import annotations

from typing import Any

from ..messages import lazy_gettext as _

LABELS: dict[str, Any] = {
    "bucket_id": _("Bucket"),
    "buckets": _("Buckets"),
    "checksum": _("Checksum"),
    "chunk_size": _("Chunk Size"),
    "completed": _("Completed"),
    "created": _("Created"),
    "default": _("Default"),
    "default_storage_class": _("Storage class"),
    "deleted": _("Deleted"),
    "file.checksum": _("Checksum"),
    "file.id": _("File"),
    "file.size": _("Size"),
    "id": "ID",
    "is_head": _("Is Head"),
    "key": _("Key"),
    "last_check": _("Last Check"),
    "last_check_at": _("Last Check At"),
    "links": "",
    "location.name": _("Location"),
    "locked": _("Locked"),
    "max_file_size": _("Largest file"),
    "name": _("Name"),
    "objects": _("Objects"),
    "quota_size": _("Quota"),
    "readable": _("Readable"),
    "size": _("Size"),
    "storage_class": _("Storage Class"),
    "updated": _("Updated"),
    "upload_id": _("Upload"),
    "uri": "URI",
    "version_id": _("Version"),
    "writable": _("Writable"),
}
"""The labels, by the names of columns."""
