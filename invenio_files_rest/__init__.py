"""Files storage module of Invenio: buckets, objects and versions over a REST API in the manner of S3."""

from .ext import InvenioFilesREST
from .proxies import current_files_rest

__version__ = "6.2.0"

__all__ = ("InvenioFilesREST", "__version__", "current_files_rest")
