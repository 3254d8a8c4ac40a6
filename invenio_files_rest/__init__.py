"""File storage for Invenio: buckets, objects and versions with a REST API similar to that of S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .proxies import current_files_rest

if TYPE_CHECKING:
    from .ext import InvenioFilesREST

__version__ = "6.2.0"

__all__ = ("InvenioFilesREST", "__version__", "current_files_rest")


def __getattr__(name: str) -> Any:
    """Import the extension on demand, so that the storage can be imported without the database and the tasks."""
    if name == "InvenioFilesREST":
        from .ext import InvenioFilesREST

        return InvenioFilesREST
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
