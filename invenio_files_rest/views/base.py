"""What all views have in common: responses that shared caches must not store, and URLs in UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar

from flask import Response, after_this_request, current_app, request
from invenio_rest import ContentNegotiatedMethodView
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ..errors import FilesException, InvalidKeyError, LocationAwayError
from ..http.scopes import check_scope

F = TypeVar("F", bound=Callable[..., Any])


def for_who_asked(f: F) -> F:
    """Forbid caches to store the response of a view, errors included, unless the view sets ``Cache-Control``.

    It depends on the permissions of the caller, and may soon be outdated (RFC 9111, section 5.2.2).

    :param f: The view.
    """

    @wraps(f)
    def inner(*args: Any, **kwargs: Any) -> Any:
        after_this_request(_keep_from_caches)
        return f(*args, **kwargs)

    return inner  # type: ignore[return-value]


def _keep_from_caches(response: Response) -> Response:
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "private, no-store"
        response.vary.update(("Accept", "Authorization", "Cookie"))
    return response


def keep_errors_from_caches(response: Response) -> Response:
    """Forbid caches to store errors of requests for our views that did not reach the view, such as 405.

    :param response: Any response of the application.
    """
    view_class = getattr(_requested_view(), "view_class", object)
    return _keep_from_caches(response) if issubclass(view_class, FilesView) else response


def _requested_view() -> Any:
    """Return the view of the URL, even if it does not have the method."""
    endpoint, error = request.endpoint, request.routing_exception
    if isinstance(error, MethodNotAllowed) and (adapter := current_app.create_url_adapter(request)):
        with suppress(HTTPException):
            endpoint, _ = adapter.match(method=next(iter(error.valid_methods or ["GET"])))
    return current_app.view_functions.get(endpoint or "")


def log_failure(error: FilesException) -> None:
    """Log an error that is not the client's fault, once; if a location is away, in one line.

    :param error: The error.
    """
    if error.code < 500 or error.logged:
        return
    error.logged = True
    if isinstance(error, LocationAwayError):
        current_app.logger.error("%s [%s]: %s", request.path, request.method, error.get_errors())
    else:
        current_app.logger.error("Exception on %s [%s]", request.path, request.method, exc_info=error)


class FilesView(ContentNegotiatedMethodView):
    """A view whose responses caches must not store unless it says otherwise."""

    @for_who_asked
    def dispatch_request(self, *args: Any, **kwargs: Any) -> Response:
        """Refuse a token without the scope, and a URL that is not in UTF-8.

        What replaces bytes of such a URL would make one object of several.

        :raises werkzeug.exceptions.Forbidden: If the token has not the scope.
        :raises InvalidKeyError: If the URL is not in UTF-8.
        """
        check_scope()
        try:
            request.environ["PATH_INFO"].encode("latin-1").decode()
            request.query_string.decode()
        except UnicodeDecodeError as error:
            raise InvalidKeyError(description="The URL is not in UTF-8.") from error
        response: Response = super().dispatch_request(*args, **kwargs)
        return response
