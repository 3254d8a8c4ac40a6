"""The command line, ``invenio files …``, for operators.

A command writes to standard output what it did, one line for each thing. If it fails, it writes the reason to standard
error and exits with 1; if its arguments are wrong, it exits with 2. :mod:`.failures` has the other exit statuses.
"""

from __future__ import annotations

import click

from .bucket import bucket
from .check import check
from .links import links
from .location import location
from .migrate import migrate
from .object import object_
from .status import status
from .sweep import sweep
from .verify import verify

__all__ = ("files",)


@click.group()
def files() -> None:
    """Manage locations, buckets, objects and links, and look after the files in them."""


for _command in (bucket, check, links, location, migrate, object_, status, sweep, verify):
    files.add_command(_command)
