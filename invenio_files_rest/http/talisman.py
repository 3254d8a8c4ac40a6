"""Flask-Talisman, where an application has it, gives a file the policy of files and not the one of pages.

It sets its headers when an answer is ready, whatever that has, by ``talisman_view_options`` of the view. A view that
sends files may be anybody's, and answer with pages, too: so each answer gets options of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import current_app, has_request_context, request
from werkzeug.local import LocalProxy

_OPTIONS = "invenio_files_rest.talisman_view_options"
"""Where the environment of a request has the options of its answer."""


def keep_policy(content_security_policy: str, frame_options: str) -> None:
    """Have the answer to this request sent with a policy of its own.

    :param content_security_policy: Value of ``Content-Security-Policy``.
    :param frame_options: Value of ``X-Frame-Options``.
    """
    view: Any = current_app.view_functions.get(request.endpoint or "") if has_request_context() else None
    if view is None:
        return
    # A bound method has its attributes where its function has them.
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
    # A copy, for Talisman adds the options of the application, and a view may be in several.
    options: dict[str, Any] = request.environ.setdefault(_OPTIONS, dict(usual))
    return options
