"""Making, listing and revoking links for others, each in one short transaction."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from ..models.base import utcnow
from ..models.share import Share, hash_of
from .batches import in_batches
from .transactions import in_transaction

TOKEN_BYTES = 24
"""Random bytes of a token: 192 bits. Somebody who tries a billion a second finds none before the sun goes out."""


class NewShare(NamedTuple):
    """A link that has just been made."""

    share: Share
    token: str
    """What its URL has. It is not kept, so that nobody can be told again."""


def make_share(
    bucket_id: uuid.UUID,
    user_id: int,
    kind: str,
    key: str,
    version_id: uuid.UUID | None = None,
    *,
    expires: datetime,
    note: str = "",
) -> NewShare:
    """Make a link, forget those that have expired, and commit.

    :param bucket_id: Identifier of the bucket.
    :param user_id: Identifier of the user on whose behalf it gives what it gives.
    :param kind: See :attr:`.Share.kind`.
    :param key: Key of the object, or the prefix.
    :param version_id: Identifier of the version.
    :param expires: From when on it gives nothing.
    :param note: Anything about it.
    :returns: The link.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)

    def make() -> Share:
        Share.forget_expired(utcnow())
        return Share.add(
            token_hash=hash_of(token),
            bucket_id=bucket_id,
            user_id=user_id,
            kind=kind,
            key=key,
            version_id=version_id,
            expires=expires,
            note=note,
        )

    return NewShare(in_transaction(make), token)


class SharePage(NamedTuple):
    """Links, newest first."""

    shares: list[Share]
    following: bool
    """Whether there are more."""


def shares_of_bucket(
    bucket_id: uuid.UUID, user_id: int | None, after: tuple[datetime, uuid.UUID] | None, size: int
) -> SharePage:
    """Return a page of the links of a bucket that have not expired, newest first.

    :param bucket_id: Identifier of the bucket.
    :param user_id: Identifier of who made them; ``None`` for those of everybody.
    :param after: When the last one before the page was made, and its identifier.
    :param size: Number of links on a page.
    """
    found = Share.newest(bucket_id, user_id, after, size + 1)
    return SharePage(found[:size], len(found) > size)


def all_shares(bucket_id: uuid.UUID | None = None) -> Iterator[Share]:
    """Return the links that have not expired, in constant memory.

    :param bucket_id: Identifier of their bucket; ``None`` for those of all buckets.
    """
    for batch in in_batches(Share.live(bucket_id), Share.created, Share.id):
        yield from batch


def revoke_shares(
    share_ids: Collection[uuid.UUID], bucket_id: uuid.UUID | None = None, user_id: int | None = None
) -> int:
    """Revoke links, and commit: from then on they give nothing.

    :param share_ids: Their identifiers.
    :param bucket_id: Identifier of the bucket that they have to be of; ``None`` where it does not matter.
    :param user_id: Identifier of who has to have made them; ``None`` where it does not matter.
    :returns: How many there were.
    """
    return in_transaction(lambda: Share.revoke(share_ids, bucket_id, user_id))
