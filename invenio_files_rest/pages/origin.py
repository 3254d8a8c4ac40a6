"""Forms are taken from our own pages alone, by what the browser says of where a request comes from.

A page of another site can have a browser send a form here, with the cookies that it has for us. Browsers say so in
headers that no page can set: ``Sec-Fetch-Site`` (W3C Fetch Metadata) over HTTPS and on the same machine, and ``Origin``
(RFC 6454, section 7.3) with every POST. They come before the body, so that a refused upload is not read, and a form
needs neither a token nor a session.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import abort, request

from ..messages import lazy_gettext as _

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def refuse_other_sites() -> None:
    """Refuse a request that changes something, unless a page of this very origin has sent it.

    :raises werkzeug.exceptions.Forbidden: If another one has, or nothing says which.
    """
    if request.method not in _SAFE and not is_same_origin():
        abort(403, description=_("This form was sent by a page of another site."))


def is_same_origin() -> bool:
    """Tell whether a page of this very origin has sent the request, by what the browser says of it."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    # Without the scheme, which a proxy in front may have changed.
    return urlsplit(request.headers.get("Origin", "")).netloc == request.host
