"""The command line: ``invenio files …``."""

import click


@click.group()
def files() -> None:
    """Manage file locations and buckets."""
