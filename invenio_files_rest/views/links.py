"""``?links`` of a bucket: links for others, to make, to list and, by ``?linkId``, to revoke.

Links are to a bucket what uploads are: ``POST ?links`` makes one as ``POST ?uploads`` begins one, ``GET ?links`` lists
them, and ``DELETE ?linkId=…`` ends one. They belong to the bucket rather than to what they lead to, for a prefix has no
address of its own, and whoever looks after a bucket wants all of them in one list. The body says what a link is for, as
a query would have no room for a note, and no types.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from functools import wraps
from typing import Any, TypeVar

from flask import Response, abort, current_app, request
from flask_login import current_user
from marshmallow import ValidationError
from webargs import fields

from ..errors import InvalidArguments, field_errors
from ..http.arguments import (
    NOT_FOUND,
    BucketPlace,
    Identifier,
    WholeNumber,
    at_most,
    between,
    is_unicode,
    of_a_key,
    refuse_stray_arguments,
    use_kwargs,
)
from ..http.json_streams import dumps
from ..http.links import SHARES, bucket_url, next_page_url, share_url, shared_object_url
from ..http.preconditions import write_conditions
from ..http.scopes import READ, check_scope
from ..keys import validate_key
from ..messages import lazy_gettext as _
from ..models import Bucket, Share
from ..models.share import NOTE_LENGTH, OBJECT, PREFIX, UPLOAD, VERSION
from ..permissions import expect_actions, permitted
from ..permissions.usable import Place
from ..proxies import current_permission_factory
from ..services.conditions import check_conditions_without_validators
from ..services.shares import make_share, revoke_shares, shares_of_bucket
from .decorators import check_permission, ensure_acceptable, need_bucket_permission, pass_bucket, refuse
from .object import ObjectResource

F = TypeVar("F", bound=Callable[..., Any])

_LINKS, _LINK = "links", "linkId"

_PAGE = {
    "start_after": BucketPlace(data_key="start-after", load_default=None),
    "max_links": WholeNumber(data_key="max-links", validate=between(1, 1000), load_default=100),
}


def _of_characters(text: str) -> None:
    if "\0" in text or not is_unicode(text):
        raise ValidationError(_("It has characters that cannot be stored."))


_NEW = {
    "key": fields.String(load_default=None),
    "version_id": Identifier(load_default=None),
    "prefix": fields.String(validate=of_a_key, load_default=None),
    "upload": fields.Boolean(truthy={True}, falsy={False}, load_default=False),
    "expires": fields.AwareDateTime(format="iso", default_timezone=timezone.utc, load_default=None),
    "note": fields.String(validate=[at_most(NOTE_LENGTH), _of_characters], load_default=""),
}


def is_about(name: str) -> bool:
    """Tell whether the request is about links for others, where there are any.

    :param name: The argument that says so.
    """
    if name not in request.args or not current_app.config["FILES_REST_SHARES_ENABLED"]:
        return False
    # An application that has put itself together may lack what links lead to.
    return SHARES in current_app.blueprints


def or_of_links(f: F) -> F:
    """Have a method that lists a bucket list its links where the request asks for them."""

    @wraps(f)
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.list_links(**kwargs) if is_about(_LINKS) else f(self, *args, **kwargs)

    return inner  # type: ignore[return-value]


class LinksMixin:
    """What a bucket's resource does with links for others."""

    make_response: Callable[..., Response]

    def post(self, **kwargs: Any) -> Response:
        """Make a link."""
        response: Response = self.make_link(**kwargs) if is_about(_LINKS) else super().post(**kwargs)  # type: ignore[misc]
        return response

    def delete(self, **kwargs: Any) -> Response:
        """Revoke a link."""
        response: Response = self.revoke_link(**kwargs) if is_about(_LINK) else super().delete(**kwargs)  # type: ignore[misc]
        return response

    @pass_bucket
    @need_bucket_permission("bucket-update", along=lambda: ["bucket-read", "object-read", "object-read-version"])
    @ensure_acceptable
    @use_kwargs(_NEW, location="json_object")
    def make_link(
        self,
        bucket: Bucket,
        key: str | None,
        version_id: uuid.UUID | None,
        prefix: str | None,
        upload: bool,
        expires: datetime | None,
        note: str,
    ) -> Response:
        """Make a link, which gives no more than its maker may do himself.

        :param bucket: The bucket.
        :param key: Key of the object to read.
        :param version_id: Identifier of the version to read.
        :param prefix: Prefix of the keys to read, or to add.
        :param upload: Whether to add keys.
        :param expires: From when on the link gives nothing.
        :param note: What it is for.
        """
        refuse_stray_arguments(_LINKS)
        if not current_user.is_authenticated:
            # There is nobody whose permission could be asked.
            refuse(hidden=False)
        check_conditions_without_validators(write_conditions(request))
        if (key is None) == (prefix is None):
            _refuse("body", _("Give either key or prefix."))
        if version_id is not None and key is None:
            _refuse("version_id", _("It goes with key."))
        if upload and prefix is None:
            _refuse("upload", _("It goes with prefix."))
        until = _expiry(expires)
        subject = validate_key(prefix if key is None else key)  # type: ignore[arg-type]
        if not upload:
            check_scope(READ)
        if key is not None:
            ObjectResource.get_object(bucket, key, version_id)
            kind = OBJECT if version_id is None else VERSION
        elif upload:
            kind = UPLOAD
        else:
            check_permission(current_permission_factory(bucket, "bucket-read"))
            kind = PREFIX
        made = make_share(bucket.id, current_user.id, kind, subject, version_id, expires=until, note=note)
        shown = {**_shown(made.share), "url": _url(made.share, made.token)}
        return Response(dumps(shown), status=201, mimetype="application/json")

    @pass_bucket
    @ensure_acceptable
    @use_kwargs(_PAGE, location="query")
    def list_links(self, bucket: Bucket, start_after: Place | None, max_links: int, **kwargs: Any) -> Response:
        """List the links of the bucket that have not expired: all of them, or one's own.

        :param bucket: The bucket.
        :param start_after: The place that the page goes on after.
        :param max_links: Largest number of links on the page.
        """
        refuse_stray_arguments(_LINKS)
        owner = _whose(bucket)
        after = None if start_after is None else (start_after.created, start_after.id)
        shares, more = shares_of_bucket(bucket.id, owner, after, max_links)
        if owner is not None and not shares and after is None:
            abort(404, description=NOT_FOUND)
        url = f"{bucket_url(bucket.id)}?{_LINKS}"
        page = {"contents": [_shown(share) for share in shares], "links": {"self": url}}
        response = Response(mimetype="application/json")
        if more:
            following = next_page_url(bucket_url(bucket.id), start_after=str(Place(shares[-1].created, shares[-1].id)))
            page["links"] = {"self": url, "next": following}
            response.headers["Link"] = f'<{following}>; rel="next"'
        response.set_data(dumps(page))
        return response

    @pass_bucket
    @use_kwargs({"link_id": Identifier(data_key=_LINK)}, location="query")
    def revoke_link(self, bucket: Bucket, link_id: uuid.UUID) -> Response:
        """Revoke a link, which gives nothing from then on.

        :param bucket: The bucket.
        :param link_id: Identifier of the link.
        """
        refuse_stray_arguments(_LINK)
        check_conditions_without_validators(write_conditions(request))
        if not revoke_shares([link_id], bucket.id, _whose(bucket)):
            abort(404, description=NOT_FOUND)
        return self.make_response(None, 204)


def _whose(bucket: Bucket) -> int | None:
    """Return whose links of a bucket one may see and revoke: one's own, or, as ``None``, everybody's.

    :raises werkzeug.exceptions.NotFound: If nobody's.
    """
    expect_actions(bucket, "bucket-update")
    if permitted([bucket], "bucket-update"):
        return None
    if not current_user.is_authenticated:
        refuse(hidden=True)
    return int(current_user.id)


def _expiry(given: datetime | None) -> datetime:
    now = datetime.now(timezone.utc)
    if given is None:
        return now + min(
            current_app.config["FILES_REST_SHARES_EXPIRES"], current_app.config["FILES_REST_SHARES_EXPIRES_MAX"]
        )
    latest = now + current_app.config["FILES_REST_SHARES_EXPIRES_MAX"]
    if not now < given <= latest:
        _refuse(
            "expires",
            _(
                "It has to be in the future, and not after %(latest)s.",
                latest=latest.isoformat(timespec="seconds"),
            ),
        )
    return given


def _refuse(field: str, message: str) -> None:
    raise InvalidArguments(errors=field_errors([message], field))


def _shown(share: Share) -> dict[str, Any]:
    return {
        "id": str(share.id),
        "kind": share.kind,
        "key" if share.prefix is None else "prefix": share.key,
        **({} if share.version_id is None else {"version_id": str(share.version_id)}),
        "note": share.note,
        "created_by": share.user_id,
        "created": share.created.isoformat(),
        "expires": share.expires.isoformat(),
        "links": {"self": f"{bucket_url(share.bucket_id)}?{_LINK}={share.id}"},
    }


def _url(share: Share, token: str) -> str:
    """Return what to give away: browsers and curl name a download, or what is uploaded, by the end of it."""
    if share.kind == PREFIX:
        return share_url(token)
    if not share.key:
        return share_url(token) + "/"
    return shared_object_url(token, share.key) or share_url(token)
