"""Decorators of views: they pass the bucket, and check permissions, locks, ``Accept`` and the body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, NoReturn, TypeVar

from flask import abort, request
from flask_login import current_user

from ..errors import BucketLockedError, ExhaustedStreamError
from ..http.arguments import NOT_FOUND, as_uuid
from ..http.observation import observer
from ..http.preconditions import write_conditions
from ..http.streamed_form import form_file
from ..messages import lazy_gettext as _
from ..models import Bucket
from ..permissions import expect_actions
from ..proxies import current_permission_factory

F = TypeVar("F", bound=Callable[..., Any])


def pass_bucket(f: F) -> F:
    """Pass the bucket with the ``bucket_id`` in the URL, as ``bucket``.

    :raises werkzeug.exceptions.NotFound: If it does not exist, or is deleted.
    """

    @wraps(f)
    def inner(self: Any, *args: Any, bucket_id: str, **kwargs: Any) -> Any:
        bucket = Bucket.get(as_uuid(bucket_id))
        if bucket is None:
            abort(404, description=NOT_FOUND)
        if observed := observer(request.environ):
            observed.uses(bucket.default_location)
        return f(self, *args, bucket=bucket, **kwargs)

    return inner  # type: ignore[return-value]


def ensure_unlocked(f: F) -> F:
    """Refuse to change a locked bucket.

    :raises BucketLockedError: If the bucket is locked.
    """

    @wraps(f)
    def inner(self: Any, *args: Any, bucket: Bucket, **kwargs: Any) -> Any:
        if bucket.locked:
            raise BucketLockedError()
        return f(self, *args, bucket=bucket, **kwargs)

    return inner  # type: ignore[return-value]


def ensure_acceptable(f: F) -> F:
    """Refuse to change anything if the client would not accept the response.

    :raises werkzeug.exceptions.NotAcceptable: If no serializer produces a type in ``Accept``.
    """

    @wraps(f)
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.match_serializers(*self.get_method_serializers(request.method)):
            abort(406)
        return f(self, *args, **kwargs)

    return inner  # type: ignore[return-value]


def check_permission(permission: Any, hidden: bool = True) -> None:
    """Refuse the request if the current identity does not have a permission.

    :param permission: The permission; ``None`` allows everyone.
    :param hidden: Whether to respond as if the resource did not exist (404); otherwise with 401 to an anonymous caller
        and 403 to an authenticated one.
    """
    if permission is not None and not permission.can():
        refuse(hidden)


def refuse(hidden: bool) -> NoReturn:
    """Refuse the request for want of a permission.

    :param hidden: See :func:`check_permission`.
    """
    if hidden:
        abort(404, description=NOT_FOUND)
    if current_user.is_authenticated:
        abort(403, description=_("You do not have the permission for this."))
    abort(401, description=_("Authentication is required for this."))


def refuse_body() -> None:
    """Refuse a request with a body that would be passed over, since it takes what is stored already.

    :raises werkzeug.exceptions.BadRequest: If it has one.
    """
    if request.content_length or request.environ.get("HTTP_TRANSFER_ENCODING"):
        abort(400, description=_("The request takes what is stored already, so it must not have a body."))


def need_permissions(
    object_getter: Callable[..., Any], action: str, hidden: bool = True, along: Callable[[], Iterable[str]] = tuple
) -> Callable[[F], F]:
    """Refuse a request without the permission for an action.

    :param object_getter: Function that is called with the arguments of the view, and returns the object of the action.
    :param action: Name of the action.
    :param hidden: Whether to respond as if the resource did not exist.
    :param along: Function that returns the names of the actions that the request will be checked for later.
    """

    def decorator(f: F) -> F:
        @wraps(f)
        def inner(*args: Any, **kwargs: Any) -> Any:
            obj = object_getter(*args, **kwargs)
            expect_actions(obj, *along())
            check_permission(current_permission_factory(obj, action), hidden=hidden)
            return f(*args, **kwargs)

        return inner  # type: ignore[return-value]

    return decorator


def actions_of_conditions() -> Iterable[str]:
    """Return the actions that a request needs whose answer tells whether its conditions hold."""
    return ["object-read"] if write_conditions(request) else []


need_location_permission = partial(need_permissions, lambda *args, **kwargs: kwargs.get("location"))
"""Refuse a request without the permission for an action on a location.

:param action: Name of the action.
:param hidden: Whether to respond as if the resource did not exist.
"""

need_bucket_permission = partial(need_permissions, lambda *args, **kwargs: kwargs.get("bucket"))
"""Refuse a request without the permission for an action on the bucket.

:param action: Name of the action.
:param hidden: Whether to respond as if the bucket did not exist.
:param along: Function that returns the names of the actions that the request will be checked for later.
"""


def ensure_input_stream_is_not_exhausted(f: F) -> F:
    """Refuse to store a body that something before the view has read, since only the rest of it would be stored.

    A form of ``multipart/form-data`` that has been parsed has its file still, unless somebody has read from that.

    :raises ExhaustedStreamError: If the body has been read.
    """

    @wraps(f)
    def inner(*args: Any, **kwargs: Any) -> Any:
        state = request.__dict__
        parsed = "form" in state and request.want_form_data_parsed
        # There is no public way to ask whether get_data() has cached the body.
        if not (parsed and request.mimetype == "multipart/form-data") and (
            parsed or "_cached_data" in state or _position(state.get("stream"))
        ):
            raise ExhaustedStreamError()
        if (file := form_file(request)) is not None and file.tell():
            raise ExhaustedStreamError()
        return f(*args, **kwargs)

    return inner  # type: ignore[return-value]


def _position(stream: Any) -> int:
    """Return how much of a stream has been read; 0 if it does not tell."""
    try:
        return int(stream.tell())
    except (AttributeError, OSError):
        return 0
