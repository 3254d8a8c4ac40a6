"""The documented name of :class:`invenio_files_rest.http.request.Request`."""

from .http.request import Request

__all__ = ("Request",)
