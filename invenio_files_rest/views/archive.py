"""``GET /files/<bucket>?archive=zip``: the objects of a bucket in one file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, current_app, redirect, request
from webargs import fields

from ..archives.formats import FORMATS
from ..archives.layout import Layout, digest_of_state, lay_out
from ..archives.slots import take_slot
from ..archives.stamp import EPOCH, make_stamp, parse_stamp
from ..archives.stream import ArchiveStream
from ..errors import InvalidArguments, field_errors
from ..http.arguments import at_most, of_a_key, one_of
from ..http.file_response import Representation, send_opened
from ..http.links import bucket_url
from ..messages import lazy_gettext as _
from ..models import Bucket
from ..models.bucket_state import BucketState, Page
from ..permissions import decides_by_bucket, permitted_actions
from ..services.transactions import release_connection
from .decorators import refuse

ARCHIVE = {
    "archive": fields.String(validate=one_of(*sorted(FORMATS))),
    "at": fields.String(validate=at_most(64)),
}
"""Arguments of an archive."""

MOST_KEYS = 100
"""Number of keys that a request may name, at most."""

KEYS = {
    "keys": fields.List(
        fields.String(validate=of_a_key),
        data_key="key",
        validate=at_most(MOST_KEYS),
        metadata={
            "description": "Key of an object in the archive; one that ends in a slash stands for all whose keys begin "
            "so. It may be given several times."
        },
    )
}
"""Arguments of an archive of a selection."""

NOT_WITH_ARCHIVE = ("versions", "uploads", "delimiter", "start-after", "max-keys")
"""Arguments that have no meaning for an archive."""


def send_archive(
    bucket: Bucket,
    name: str,
    prefix: str,
    at: str | None,
    url: str | None = None,
    file_name: str | None = None,
    keys: Sequence[str] = (),
) -> Response:
    """Send the objects of a bucket in one file, or redirect to the address of its current state.

    :param bucket: The bucket, which may be read.
    :param name: Name of the format.
    :param prefix: Prefix of the keys.
    :param at: Stamp of the state.
    :param url: URL to redirect to, without arguments; by default that of the bucket.
    :param file_name: Name of the file, without extension; by default the identifier of the bucket.
    :param keys: The keys, instead of a prefix; see :class:`~invenio_files_rest.models.bucket_state.BucketState`.
    :raises InvalidArguments: If the stamp is none.
    :raises werkzeug.exceptions.Gone: If the state cannot be had any more.
    :raises werkzeug.exceptions.ServiceUnavailable: If too many archives are being sent.
    :raises FileInstanceUnreadableError: If a file has not all its bytes.
    """
    for argument in NOT_WITH_ARCHIVE:
        if argument in request.args:
            abort(400, description=_("The argument %(argument)s has no meaning for an archive.", argument=argument))
    if keys and prefix:
        abort(400, description=_("Give either key or prefix."))
    chosen = tuple(dict.fromkeys(keys))
    if at is None:
        state, check = BucketState.latest(bucket.id, prefix, EPOCH, chosen), _MayBeSent(bucket, chosen)
        digest = digest_of_state(state, check)
        check.ensure_complete()
        # With whatever else the request has, such as a token of who asks.
        arguments = request.args.copy()
        arguments["archive"], arguments["at"] = name, make_stamp(state.moment, digest)
        query = urlencode(list(arguments.items(multi=True)))
        # The method is kept (RFC 9110, section 15.4.8).
        current = f"{url or bucket_url(bucket.id)}?{query}"
        response: Response = redirect(current, 307, current_app.response_class)  # type: ignore[assignment]
        return response
    try:
        moment, digest = parse_stamp(at)
    except ValueError as error:
        raise InvalidArguments(errors=field_errors([error.args[0]], "at")) from error
    layout = lay_out(FORMATS[name], BucketState(bucket.id, moment, prefix, chosen), _MayBeSent(bucket))
    if layout.digest != digest:
        abort(410, description=_("The bucket has no such state any more. Ask again without the argument at."))
    return send_layout(layout, name, file_name or str(bucket.id))


def lay_out_latest(bucket: Bucket, name: str, prefix: str, keys: tuple[str, ...]) -> Layout:
    """Lay out an archive of the current state of a bucket.

    :param bucket: The bucket, which may be read.
    :param name: Name of the format.
    :param prefix: Prefix of the keys.
    :param keys: The keys, instead of a prefix.
    :raises werkzeug.exceptions.NotFound: If a key names nothing. The message says which.
    :raises FileInstanceUnreadableError: If a file has not all its bytes.
    """
    check = _MayBeSent(bucket, keys)
    layout = lay_out(FORMATS[name], BucketState.latest(bucket.id, prefix, EPOCH, keys), check)
    check.ensure_complete()
    return layout


def send_layout(layout: Layout, name: str, file_name: str) -> Response:
    """Send an archive.

    :param layout: The layout.
    :param name: Name of the format.
    :param file_name: Name of the file, without extension.
    :raises werkzeug.exceptions.ServiceUnavailable: If too many archives are being sent.
    """
    release_connection()
    response = send_opened(
        lambda: _open(layout),
        Representation(
            filename=f"{file_name}.{name}",
            size=layout.size,
            mimetype=layout.form.mimetype,
            etag=f"{name}-{layout.digest}",
            as_attachment=True,
            # Browsers save it. They run nothing in it.
            trusted=True,
        ),
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _open(layout: Layout) -> Any:
    give_back = take_slot(current_app.config["FILES_REST_ARCHIVES_AT_ONCE"])
    return ArchiveStream(current_app._get_current_object(), layout, give_back)  # type: ignore[attr-defined]


class _MayBeSent:
    """Whether the current identity may read every version of an archive, and whether something of each key is there.

    :param bucket: The bucket.
    :param keys: The keys, of which something has to be there.
    """

    def __init__(self, bucket: Bucket, keys: Collection[str] = ()) -> None:
        self._bucket, self._missing = bucket, set(keys)
        self._permitted: set[bool] = set()
        self.needs_versions = not decides_by_bucket()

    def __call__(self, page: Page) -> None:
        """Check a page.

        :raises werkzeug.exceptions.HTTPException: If one of its versions may not be read.
        """
        for is_head in {entry.is_head for entry in page.entries} - self._permitted:
            if not self.needs_versions:
                # The same for all of them.
                self._permitted.add(is_head)
            asked: list[Any] = [self._bucket]
            if self.needs_versions:
                # What the row says decides: an object of the session may be from a statement before.
                pairs = zip(page.entries, page.versions, strict=True)
                asked = [one for entry, one in pairs if entry.is_head == is_head]
            actions = ["object-read"] if is_head else ["object-read", "object-read-version"]
            if any(len(allowed) < len(actions) for allowed in permitted_actions(asked, actions)):
                refuse(hidden=False)
        for entry in page.entries if self._missing else ():
            self._missing.discard(entry.key)
            self._missing.difference_update(entry.key[: end + 1] for end, text in enumerate(entry.key) if text == "/")

    def ensure_complete(self) -> None:
        """Check that something of each key was there.

        :raises werkzeug.exceptions.NotFound: If a key names nothing. The message says which.
        """
        if self._missing:
            abort(404, description=_("There is nothing of the key '%(key)s'.", key=min(self._missing)))
