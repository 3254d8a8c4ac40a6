"""The request, whose body may be a file of any length."""

from __future__ import annotations

import io
from typing import IO, Any

from flask import Request as _Request
from flask import current_app
from werkzeug.formparser import FormDataParser as _FormDataParser
from werkzeug.utils import cached_property

from .bodies import request_body
from .forms import FormDataParser, at_most
from .streamed_form import streaming_parser


def _takes_stream(endpoint: str | None) -> bool:
    view = current_app.view_functions.get(endpoint) if endpoint and current_app else None
    return bool(getattr(getattr(view, "view_class", None), "takes_stream", False))


class Request(_Request):
    """Request in which ``MAX_CONTENT_LENGTH`` limits what is read into memory or parsed, but not the stream."""

    form_data_parser_class = FormDataParser

    @property
    def want_form_data_parsed(self) -> bool:
        """Whether the body is a form.

        If the view takes the body as a stream, only ``multipart/form-data`` counts as a form: curl, for example, sends
        every body as ``application/x-www-form-urlencoded``, and parsing it as a form would consume the file.
        """
        if self.mimetype != "multipart/form-data" and _takes_stream(self.endpoint):
            return False
        return super().want_form_data_parsed

    def make_form_data_parser(self) -> _FormDataParser:
        """Return the parser of the form: of one whose view takes it as it comes, up to the file alone."""
        return streaming_parser(self) if _takes_stream(self.endpoint) else super().make_form_data_parser()

    @cached_property
    def stream(self) -> IO[bytes]:
        """Body of the request; empty if its end is not known.

        See :func:`~invenio_files_rest.http.bodies.request_body`.
        """
        if self.shallow:
            raise RuntimeError("The body of a shallow request cannot be read.")
        return request_body(self.environ) or io.BytesIO()

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Read the body into memory, as :meth:`werkzeug.wrappers.Request.get_data` does.

        :raises werkzeug.exceptions.RequestEntityTooLarge: If it is longer than ``MAX_CONTENT_LENGTH``.
        """
        limit = self.max_content_length
        if limit is not None and not self.shallow and "stream" not in self.__dict__:
            self.__dict__["stream"] = at_most(self.stream, self.content_length, limit)
        return super().get_data(*args, **kwargs)
