"""What all views have in common: responses that shared caches must not store, and URLs in UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Response, after_this_request, current_app, request
from invenio_rest import ContentNegotiatedMethodView
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import MethodNotAllowed

from ..errors import FilesException, InvalidKeyError, LocationAwayError, StorageError
from ..http.observation import observer
from ..http.routing import requested_endpoint, without_token
from ..http.scopes import check_scope
from ..instrumentation import pool_exhausted, tell
from ..messages import lazy_gettext as _

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


def complete_errors(response: Response) -> Response:
    """Complete errors of requests for our views that did not reach the view, such as 405.

    Caches must not store them. A 405 says which methods there are (RFC 9110, section 15.5.6), which the application's
    handler may leave out.

    :param response: Any response of the application.
    """
    view = current_app.view_functions.get(requested_endpoint() or "")
    if not issubclass(getattr(view, "view_class", object), FilesView):
        return response
    error = request.routing_exception
    if isinstance(error, MethodNotAllowed) and response.status_code == error.code:
        response.allow.update(error.valid_methods or ())
    return _keep_from_caches(response)


def report(error: Exception) -> None:
    """Tell who observes the request why it is refused, and log what is not the client's fault.

    :param error: The error.
    """
    if observed := observer(request.environ):
        observed.fails(error)
    if isinstance(error, FilesException):
        log_failure(error)


def log_failure(error: FilesException) -> None:
    """Log an error that is not the client's fault, once; if a location is away, in one line.

    :param error: The error.
    """
    if error.code < 500 or error.logged:
        return
    error.logged = True
    path = without_token(request.path)
    event = {"event": "storage_failed"} if isinstance(error, StorageError) else {}
    if isinstance(error, LocationAwayError):
        current_app.logger.error("%s [%s]: %s", path, request.method, error.get_errors(), extra=event)
    else:
        current_app.logger.error("Exception on %s [%s]", path, request.method, exc_info=error, extra=event)


def report_busy(error: PoolTimeoutError) -> None:
    """Log that all connections to the database are in use.

    :param error: The error.
    """
    tell(pool_exhausted)
    path = without_token(request.path)
    current_app.logger.error("%s [%s]: no connection to the database was free: %s", path, request.method, error)


class FilesView(ContentNegotiatedMethodView):
    """A view whose responses caches must not store unless it says otherwise."""

    is_of_files = True
    """Whether telemetry observes its requests."""

    @for_who_asked
    def dispatch_request(self, *args: Any, **kwargs: Any) -> Response:
        """Refuse a token without the scope, and a URL that is not in UTF-8.

        What replaces bytes of such a URL would make one object of several.

        :raises werkzeug.exceptions.Forbidden: If the token has not the scope.
        :raises InvalidKeyError: If the URL is not in UTF-8.
        """
        if observed := observer(request.environ):
            bucket_id = kwargs.get("bucket_id")
            # What follows is the token of a link, where the application has none.
            observed.concerns(bucket_id, None if bucket_id == "links" else kwargs.get("key"))
        check_scope()
        try:
            request.environ["PATH_INFO"].encode("latin-1").decode()
            request.query_string.decode()
        except UnicodeDecodeError as error:
            raise InvalidKeyError(description=_("The URL is not in UTF-8.")) from error
        response: Response = super().dispatch_request(*args, **kwargs)
        return response
