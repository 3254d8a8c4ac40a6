"""The request, whose body may be a file of any length."""

from __future__ import annotations

from typing import IO, Any

from flask import Request as _Request
from werkzeug.utils import cached_property
from werkzeug.wsgi import get_input_stream

from .formparser import FormDataParser


class Request(_Request):
    """Request that holds ``MAX_CONTENT_LENGTH`` against what is read into memory or parsed, not against its stream."""

    form_data_parser_class = FormDataParser

    @cached_property
    def stream(self) -> IO[bytes]:
        """Body of the request: to its ``Content-Length``, or to where the server marks its end."""
        if self.shallow:
            raise RuntimeError("The body of a shallow request cannot be read.")
        return get_input_stream(self.environ)

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Read the body into memory, as :meth:`werkzeug.wrappers.Request.get_data` does.

        :raises werkzeug.exceptions.RequestEntityTooLarge: Where it is longer than ``MAX_CONTENT_LENGTH``.
        """
        if not self.shallow and "stream" not in self.__dict__:
            self.__dict__["stream"] = get_input_stream(self.environ, max_content_length=self.max_content_length)
        return super().get_data(*args, **kwargs)
