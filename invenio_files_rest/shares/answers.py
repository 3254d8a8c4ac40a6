"""What all answers to links for others have in common."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from flask import Response, current_app, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound
from werkzeug.routing import RequestRedirect

from ..http.links import SHARES
from ..http.routing import requested_endpoint, without_token
from ..http.talisman import keep_policy, keep_referrer_policy
from ..messages import lazy_gettext as _
from ..messages import reader_locale
from ..views import error_response
from ..views.base import report

NO_LINK = _("There is no such link, or nothing that it gives: it may have expired, or been revoked.")
"""Message for a link, or a thing by it, that there is not, for whatever reason."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
td:nth-child(n+2), th:nth-child(n+2) { text-align: right; white-space: nowrap; }
h1, p { overflow-wrap: anywhere; }
bdi { white-space: pre-wrap; }
input, button { font: inherit; max-width: 100%; }
button { padding: .4rem 1rem; }
@media (max-width: 40rem) {
  thead { position: absolute; left: -100rem; }
  tr { display: flex; flex-wrap: wrap; gap: 0 .75rem; padding: .5rem 0; border-bottom: 1px solid #8884; }
  td { padding: 0; border: 0; }
  td:first-child { flex: 100%; }
  td:nth-child(n+2) { font-size: .875rem; }
  td:nth-child(3):not(:empty)::after { content: " UTC"; }
}
"""
"""The style of pages, which stands in them: there is nothing else to load."""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""``Content-Security-Policy`` of pages: that style and nothing else, no script at all."""


def wants_page() -> bool:
    """Tell whether whoever asks is a browser rather than a program."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def page(name: str, status: int = 200, **values: Any) -> Response:
    """Make a page.

    :param name: Name of the template.
    :param status: HTTP status.
    :param values: What it shows.
    """
    keep_policy(POLICY, "DENY")
    reader_locale()
    text = render_template(f"invenio_files_rest/shares/{name}", style=STYLE, **values)
    response = current_app.response_class(text, status=status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def guarded(response: Response) -> Response:
    """Have nobody keep an answer to a link, nor tell its address to others, errors included.

    :param response: Any response of the application.
    """
    if (requested_endpoint() or "").startswith(f"{SHARES}.") or _leads_to_link():
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        keep_referrer_policy("no-referrer")
        response.headers["X-Robots-Tag"] = "noindex"
    return response


def _leads_to_link() -> bool:
    """Tell whether the answer redirects to the address of a link from one that is spelt with more slashes."""
    return isinstance(request.routing_exception, RequestRedirect) and without_token(request.path) != request.path


def refused(error: HTTPException) -> Any:
    """Tell what was refused, in JSON or in a page; 404 in one way, whatever there is not."""
    if error.response is not None:
        return error
    error = NotFound(NO_LINK) if error.code == 404 else error
    if not wants_page():
        return error_response(error)
    report(error)
    answer = page("error.html", status=error.code or 500, title=error.name, message=error.description)
    headers = ((name, value) for name, value in error.get_headers() if not name.startswith("Content-"))
    answer.headers.extend(headers)
    return answer


def unexpected(error: Exception) -> Any:
    """Answer 500, and log the error without the token, which Flask would log with the path."""
    current_app.logger.error("Exception on %s [%s]", without_token(request.path), request.method, exc_info=error)
    return refused(InternalServerError())
