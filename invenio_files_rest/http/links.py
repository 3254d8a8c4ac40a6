"""The URLs of buckets and of objects."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import g, request, url_for

from ..keys import paths_of


def bucket_url(bucket_id: Any) -> str:
    """Return the URL of a bucket.

    :param bucket_id: Identifier of the bucket.
    """
    # Cached for this request.
    urls: dict[Any, str] = g.setdefault("files_rest_bucket_urls", {})
    url = urls.get(bucket_id)
    if url is None:
        urls[bucket_id] = url = url_for("invenio_files_rest.bucket_api", bucket_id=bucket_id, _external=True)
    return url


def location_url() -> str:
    """Return the URL of the list of buckets."""
    return url_for("invenio_files_rest.location_api", _external=True)


def next_page_url(url: str, **place: str) -> str:
    """Return the URL of the next page of the listing that is requested.

    :param url: URL of the listing.
    :param place: The arguments that tell where the next page begins, instead of those of the request.
    """
    following = request.args.to_dict() | {name.replace("_", "-"): value for name, value in place.items()}
    # A link is kept and passed on, by logs too; a token is for whoever has sent it.
    following.pop("access_token", None)
    return f"{url}?{urlencode(following)}"


def object_urls(bucket_id: Any, key: str) -> tuple[str | None, str]:
    """Return the URLs of an object.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :returns: The URL of the object, or ``None`` if no URL can name it; and the URL to which the identifier of a version
        or of an upload is added. See :mod:`invenio_files_rest.keys`.
    """
    path, with_identifier = paths_of(key)
    url = bucket_url(bucket_id)
    return path and f"{url}/{path}", f"{url}/{with_identifier}"


SHARES = "invenio_files_rest_shares"
"""Name of the blueprint of links for others."""


def share_url(token: str) -> str:
    """Return the URL of a link for others.

    :param token: Its token.
    """
    return url_for(f"{SHARES}.link", token=token, _external=True)


def shared_object_url(token: str, key: str) -> str | None:
    """Return the URL of an object by a link for others; ``None`` if no URL can name it.

    :param token: Token of the link.
    :param key: Key of the object.
    """
    path, _ = paths_of(key)
    return path and f"{share_url(token)}/{path}"
