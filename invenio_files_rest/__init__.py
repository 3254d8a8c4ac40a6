"""Files storage module of Invenio: buckets, objects and versions over a REST API in the manner of S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .proxies import current_files_rest

if TYPE_CHECKING:
    from .ext import InvenioFilesREST

__version__ = "6.2.0"

__all__ = ("InvenioFilesREST", "__version__", "current_files_rest")


def __getattr__(name: str) -> Any:
    """Import the extension when it is asked for: who wants the storage alone needs neither database nor tasks."""
    if name == "InvenioFilesREST":
        from .ext import InvenioFilesREST

        return InvenioFilesREST
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
