"""The documented names of helpers that are defined elsewhere."""

from .checksums import chunk_size_or_default, compute_checksum, compute_md5_checksum
from .http.accel import create_file_streaming_redirect_response
from .http.file_response import MIMETYPE_WHITELIST, sanitize_mimetype, send_stream
from .paths import make_path
from .services.folder_import import populate_from_path

__all__ = (
    "MIMETYPE_WHITELIST",
    "chunk_size_or_default",
    "compute_checksum",
    "compute_md5_checksum",
    "create_file_streaming_redirect_response",
    "make_path",
    "populate_from_path",
    "sanitize_mimetype",
    "send_stream",
)
