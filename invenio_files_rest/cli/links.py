"""``files links``: list and revoke links for others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click
from flask.cli import with_appcontext

from ..models import Share
from ..services.shares import all_shares, revoke_shares
from .failures import confirm, told_in_one_line, yes_option
from .found import found_bucket
from .output import Column, json_option, say_json, table
from .params import BUCKET


@click.group()
def links() -> None:
    """Manage links for others, which the REST API makes."""


@links.command("list")
@click.argument("bucket", type=BUCKET, required=False)
@json_option
@with_appcontext
def list_(bucket: UUID | None, as_json: bool) -> None:
    """List the links that have not expired, of one bucket or of all, the oldest first.

    Their addresses are known to nobody but whoever was given them.
    """
    with told_in_one_line():
        if bucket is not None:
            found_bucket(bucket)
        found = all_shares(bucket)
        if as_json:
            for share in found:
                say_json(_described(share))
            return
        columns = [
            Column("LINK", 36),
            Column("BUCKET", 36),
            Column("USER", right=True),
            Column("EXPIRES", 19),
            Column("FOR", 7),
            Column("NOTE"),
            Column("KEY"),
        ]
        table(columns, ((s.id, s.bucket_id, s.user_id, s.expires, s.kind, s.note or None, s.key) for s in found))


@links.command()
@click.argument("share_ids", metavar="LINK...", type=click.UUID, nargs=-1, required=True)
@yes_option
@with_appcontext
def revoke(share_ids: tuple[UUID, ...], yes: bool) -> None:
    """Revoke links: from then on they give nothing."""
    with told_in_one_line():
        confirm(f"Revoke {len(share_ids)} link{'s' if len(share_ids) > 1 else ''} for good?", yes)
        missing = []
        for share_id in share_ids:
            if revoke_shares([share_id]):
                click.echo(f"Link {share_id} is revoked.")
            else:
                missing.append(str(share_id))
        if missing:
            raise ValueError(f"There is no link {', '.join(missing)}.")


def _described(share: Share) -> dict[str, Any]:
    return {
        name: getattr(share, name)
        for name in ("id", "bucket_id", "user_id", "kind", "key", "version_id", "note", "created", "expires")
    }
