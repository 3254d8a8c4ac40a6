"""Opening a link: what it is for, and whether its maker may still give that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from flask import abort, current_app, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import Forbidden, HTTPException, Unauthorized

from ..errors import FilesException
from ..http.observation import observer
from ..models.share import OBJECT, PREFIX, UPLOAD, VERSION, FoundShare, Share
from ..permissions import expect_actions
from ..permissions.acting import acting_as
from ..proxies import current_permission_factory
from ..views.decorators import check_permission

_ACTIONS = {
    VERSION: ["bucket-update", "object-read", "object-read-version"],
    OBJECT: ["bucket-update", "object-read"],
    PREFIX: ["bucket-update", "bucket-read", "object-read"],
    UPLOAD: ["bucket-update"],
}
"""What a request by a link asks its maker's permission for, at most."""


def no_link() -> NoReturn:
    """Refuse the request, as all links that give nothing are refused."""
    abort(404)


def open_link(token: str, key: str | None) -> FoundShare:
    """Return what a link is for.

    :param token: Its token.
    :param key: Key of the object that the request names.
    :raises werkzeug.exceptions.NotFound: If it gives nothing.
    """
    found = Share.find(token)
    if found is None:
        no_link()
    if observed := observer(request.environ):
        observed.concerns(found.bucket.id, key if key is not None else found.share.key)
        observed.uses(found.bucket.default_location)
    return found


@contextmanager
def on_behalf_of_maker(found: FoundShare) -> Iterator[None]:
    """Have the block do what the maker of a link may do, if he may still give links; refuse all else in one way.

    :param found: The link.
    :raises werkzeug.exceptions.NotFound: If he may not, or it could not be found out.
    """
    try:
        with acting_as(found.user):
            expect_actions(found.bucket, *_ACTIONS[found.share.kind])
            check_permission(current_permission_factory(found.bucket, "bucket-update"))
            yield
    except (Forbidden, Unauthorized):
        no_link()
    except (HTTPException, FilesException, DBAPIError, PoolTimeoutError):
        raise
    except Exception:
        current_app.logger.exception("The permission of the maker of the link %s failed.", found.share.id)
        no_link()
