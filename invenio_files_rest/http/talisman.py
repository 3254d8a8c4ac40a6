"""Making Flask-Talisman, if an application uses it, send files with their own policy instead of that for pages.

It overwrites the headers of every response, according to ``talisman_view_options`` of the view. A view that sends files
may belong to another package, and send pages as well; so each response gets options of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import current_app, has_request_context, request
from werkzeug.local import LocalProxy

_OPTIONS = "invenio_files_rest.talisman_view_options"
"""Key of the options in the environment of a request."""


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
    if not isinstance(usual, LocalProxy):
        view.talisman_view_options = LocalProxy(partial(_options, usual))
    request.environ[_OPTIONS] = {
        **usual,
        "content_security_policy": content_security_policy,
        "content_security_policy_nonce_in": [],
        "frame_options": frame_options,
    }


def _options(usual: dict[str, Any]) -> dict[str, Any]:
    # A copy, since Talisman adds the options of the application, and the view may be in several applications.
    options: dict[str, Any] = request.environ.setdefault(_OPTIONS, dict(usual))
    return options
