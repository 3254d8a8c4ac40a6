"""The objects under the prefix of a link, a page at a time, for programs and for people."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Response

from ..http.json_streams import dumps
from ..http.links import share_url, shared_object_url
from ..models.listing import ListedObject, Listing
from ..models.share import FoundShare
from .answers import page

_KEYS, _ROWS = 1000, 100
"""Numbers of keys on a page for programs, and for people, unless the request says how many."""


class Folder:
    """A page of what a link gives. It tells nothing of the bucket but that: no identifiers, no versions, no tags.

    :param found: The link.
    :param token: Its token.
    :param prefix: Prefix of the keys, which the link covers.
    :param listing: Which page: ``delimiter``, ``start_after``, ``max_keys``.
    """

    def __init__(self, found: FoundShare, token: str, prefix: str, **listing: Any) -> None:
        """Read nothing yet."""
        self._share, self._bucket_id, self._token = found.share, found.bucket.id, token
        self._prefix, self._listing = prefix, listing

    def json(self) -> Response:
        """Return the page as JSON."""
        listing = self._read(max_keys=_KEYS)
        contents = [self._shown(obj) for obj in listing]
        links = {"self": self._url(prefix=self._prefix)}
        if following := self._following(listing):
            links["next"] = following
        shown = {"prefix": self._prefix, "contents": contents, "links": links}
        if listing.delimiter:
            shown["common_prefixes"] = listing.common_prefixes
        response = Response(dumps(shown), mimetype="application/json")
        if following:
            response.headers["Link"] = f'<{following}>; rel="next"'
        return response

    def page(self) -> Response:
        """Return it for a browser."""
        listing = self._read(max_keys=_ROWS, delimiter="/")
        files = [
            (
                self._name(obj.key),
                shared_object_url(self._token, obj.key),
                obj.updated,
                obj.file.size if obj.file else 0,
            )
            for obj in listing
        ]
        above = self._prefix.rstrip("/").rpartition("/")[0]
        above = above and above + "/"
        if not self._share.covers(above):
            # The link's own prefix may end within a name.
            above = self._share.key
        return page(
            "folder.html",
            prefix=self._prefix,
            above=self._url(prefix=above) if self._prefix != self._share.key else None,
            folders=[(self._name(folder), self._url(prefix=folder)) for folder in listing.common_prefixes],
            files=files,
            archive=self._url(archive="zip", prefix=self._prefix),
            following=self._following(listing),
            expires=self._share.expires,
        )

    def _read(self, **defaults: Any) -> Listing:
        return Listing(self._bucket_id, prefix=self._prefix, **{**defaults, **self._listing})

    def _shown(self, obj: ListedObject) -> dict[str, Any]:
        file, url = obj.file, shared_object_url(self._token, obj.key)
        return {
            "key": obj.key,
            "size": file and file.size,
            "checksum": file and file.checksum,
            "mimetype": obj.mimetype,
            "updated": obj.updated.isoformat(),
            "links": {} if url is None else {"self": url},
        }

    def _name(self, key: str) -> str:
        return key[len(self._prefix) :] if self._prefix.endswith("/") else key

    def _url(self, **arguments: str) -> str:
        given = {name: value for name, value in arguments.items() if value}
        return share_url(self._token) + (f"?{urlencode(given)}" if given else "")

    def _following(self, listing: Listing) -> str | None:
        if listing.next_start_after is None:
            return None
        arguments = {"prefix": self._prefix, **{name.replace("_", "-"): str(v) for name, v in self._listing.items()}}
        return self._url(**arguments | {"start-after": listing.next_start_after})
