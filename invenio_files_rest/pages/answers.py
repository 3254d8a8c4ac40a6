"""What all pages have in common: headers, and errors as a page."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Response, current_app, g, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from ..errors import FilesException
from ..http.talisman import keep_policy, keep_referrer_policy
from ..messages import language_of_request, reader_locale
from ..messages import lazy_gettext as _
from ..views.base import report, report_busy
from .static_files import keep_for_long

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The ``Content-Security-Policy`` of a page: a style and nothing else, no script at all."""

_SCRIPTED = POLICY + "; script-src 'nonce-{nonce}'; connect-src 'self'"

API = "api/files"
"""Where the REST API is, below the root of the application."""

LOGIN = "security.login"
"""Endpoint of Flask-Security's form to log in."""

TOKENS = "invenio_oauth2server_settings.index"
"""Endpoint of Invenio-OAuth2Server's page where one makes tokens."""


def script_nonce() -> str:
    """Allow the page of this response the scripts that it names with a nonce, and what they ask of this site.

    Scripts that somebody has uploaded are of this site, too, so that it does not say ``'self'``.

    :returns: The nonce.
    """
    nonce: str = g.setdefault("files_rest_script_nonce", secrets.token_urlsafe(16))
    return nonce


def _policy() -> str:
    nonce = g.get("files_rest_script_nonce")
    return POLICY if nonce is None else _SCRIPTED.format(nonce=nonce)


def guarded(response: Response) -> Response:
    """Give a page its headers. A file has its own."""
    if response.mimetype == "text/html" and "Content-Security-Policy" not in response.headers:
        reader_locale()
        policy = _policy()
        keep_policy(policy, "DENY")
        # Forms are taken by the origin that they tell, which "no-referrer" would hide.
        keep_referrer_policy("same-origin")
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint == f"{request.blueprint}.static" and response.status_code < 400:
        keep_for_long(response)
    else:
        response.headers.setdefault("Cache-Control", "private, no-store")
        response.vary.add("Cookie")
    return response


def login_url() -> str | None:
    """Return where to log in and come back from; ``None`` on that page, or where the application has none."""
    if LOGIN not in current_app.view_functions or request.endpoint == LOGIN:
        return None
    return url_for(LOGIN, next=request.root_path + request.full_path.rstrip("?"))


def visitor() -> dict[str, Any]:
    """Return who looks at a page, and where they may go from there: as for somebody unknown if the database is away."""
    try:
        return _links_for(bool(current_user.is_authenticated))
    except SQLAlchemyError:
        return _links_for(False)


def _links_for(known: bool) -> dict[str, Any]:
    return {
        "user": current_user if known else None,
        "login": None if known else login_url(),
        # Where to log in when the session ends while the page is open.
        "again": login_url() if known else None,
        "logout": url_for("security.logout") if known and LOGIN in current_app.view_functions else None,
        "admin": url_for("admin.index") if known and _is_administrator() else None,
        "tokens": url_for(TOKENS) if known and TOKENS in current_app.view_functions else None,
        "docs": current_app.config["FILES_REST_PAGES_DOCS"],
        "api": request.url_root + API,
    }


def _is_administrator() -> bool:
    state = current_app.extensions.get("invenio-admin")
    return state is not None and bool(state.permission_factory(state.admin.index_view).can())


def error_page(error: HTTPException) -> BaseResponse | HTTPException | tuple[str, int, list[tuple[str, str]]]:
    """Tell what was refused, in a page; where one has to log in, lead there."""
    if error.response is not None or error.code is None or error.code < 400:
        return error
    report(error)
    if error.code == 401 and not current_user.is_authenticated and request.method == "GET" and (login := login_url()):
        return redirect(login)
    details = [] if isinstance(error, FilesException) and error.code >= 500 else getattr(error, "errors", None) or []
    page = render_template(
        "invenio_files_rest/pages/error.html",
        error=error,
        details=[message for detail in details if (message := getattr(detail, "res", {}).get("message"))],
        back=_way_back(error.code),
    )
    headers = [(name, value) for name, value in error.get_headers() if name not in ("Content-Type", "Content-Length")]
    return page, error.code, headers


def _way_back(code: int) -> str | None:
    """Return the address of the folder that a form was sent from; ``None`` where there is none."""
    bucket_id = (request.view_args or {}).get("bucket_id")
    if request.method != "POST" or bucket_id is None or code == 404:
        return None
    return url_for(".bucket", bucket_id=bucket_id, prefix=request.args.get("prefix") or None)


def busy_page(
    error: PoolTimeoutError,
) -> BaseResponse | HTTPException | tuple[str, int, list[tuple[str, str]]]:
    """Tell that all connections to the database are in use, and log it."""
    report_busy(error)
    with language_of_request():
        return error_page(ServiceUnavailable(_("The server is busy. Try again later."), retry_after=10))
