"""Making Flask-Talisman, if an application uses it, send files with their own policy instead of that for pages.

It overwrites the headers of every response, according to ``talisman_view_options`` of the view. A view that sends files
may belong to another package, and send pages as well; so each response gets options of its own.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app, has_request_context, request, request_finished

_OPTIONS = "invenio_files_rest.talisman_view_options"
"""Key of the options in the environment of a request."""

_REFERRER_POLICY = "invenio_files_rest.referrer_policy"
"""Key of the value of ``Referrer-Policy`` in the environment of a request."""


def keep_policy(content_security_policy: str, frame_options: str) -> None:
    """Set the policy of the response to this request.

    :param content_security_policy: Value of ``Content-Security-Policy``.
    :param frame_options: Value of ``X-Frame-Options``.
    """
    view: Any = current_app.view_functions.get(request.endpoint or "") if has_request_context() else None
    if view is None:
        return
    # The attributes of a bound method are on its function.
    view = getattr(view, "__func__", view)
    usual = getattr(view, "talisman_view_options", {})
    if not isinstance(usual, _OptionsOfRequest):
        view.talisman_view_options = _OptionsOfRequest(usual)
    request.environ[_OPTIONS] = {
        **usual,
        "content_security_policy": content_security_policy,
        "content_security_policy_nonce_in": [],
        "frame_options": frame_options,
    }


class _OptionsOfRequest(UserDict[str, Any]):
    """Options of a view, of which each request has its own.

    Talisman asks for one fifty times a request, which takes a proxy of Werkzeug three times as long.
    """

    def __init__(self, usual: Mapping[str, Any]) -> None:
        """Remember the options of a request that sets none."""
        self._usual = usual

    @property
    def data(self) -> dict[str, Any]:  # type: ignore[override]
        """The options of this request."""
        environ = request._get_current_object().environ  # type: ignore[attr-defined]
        options: dict[str, Any] | None = environ.get(_OPTIONS)
        if options is None:
            # A copy, since Talisman adds the options of the application, and the view may be in several applications.
            options = environ[_OPTIONS] = dict(self._usual)
        return options


def keep_referrer_policy(value: str) -> None:
    """Set how much of its address the page of this response tells others, for which Talisman has no option of a view.

    :param value: Value of ``Referrer-Policy``.
    """
    request.environ[_REFERRER_POLICY] = value


def keep_referrer_policies(app: Flask) -> None:
    """Let :func:`keep_referrer_policy` have the last word in an application.

    :param app: The application.
    """
    request_finished.connect(_set_referrer_policy, app)


def _set_referrer_policy(sender: Flask, response: Response, **kwargs: Any) -> None:
    value = request.environ.get(_REFERRER_POLICY)
    if value is not None:
        response.headers["Referrer-Policy"] = value
