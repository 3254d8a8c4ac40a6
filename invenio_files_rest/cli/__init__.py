"""The command line: ``invenio files …``, for those who set up and look after an installation.

A command says on standard output what it did, one line for each thing. Where it cannot do it, it says why on standard
error and exits with 1; where it is called wrongly, it exits with 2.
"""

from __future__ import annotations

import click

from .bucket import bucket
from .check import check
from .location import location
from .migrate import migrate
from .sweep import sweep
from .verify import verify

__all__ = ("files",)


@click.group()
def files() -> None:
    """Manage file locations and buckets, and look after the files in them."""


for _command in (bucket, check, location, migrate, sweep, verify):
    files.add_command(_command)
