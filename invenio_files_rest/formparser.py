"""The documented name of :class:`invenio_files_rest.http.forms.FormDataParser`."""

from .http.forms import FormDataParser

__all__ = ("FormDataParser",)
