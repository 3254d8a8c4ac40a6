"""Let the result of a file's last check be unknown."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utils.types import UUIDType

revision = "f741aa746a7d"
down_revision = "2e97565eba72"
branch_labels = None
depends_on = None


def _set_type(inspector: Any, table: Any, column: dict[str, Any]) -> None:
    """Name the types that SQLite, whose tables are copied to be altered, does not tell."""
    column["type"] = {"id": UUIDType(), "size": sa.BigInteger()}.get(column["name"], column["type"])


def _alter(nullable: bool) -> None:
    reflect = {"listeners": [("column_reflect", _set_type)]}
    with op.batch_alter_table("files_files", reflect_kwargs=reflect) as table:
        table.alter_column("last_check", existing_type=sa.Boolean(), nullable=nullable)


def upgrade() -> None:
    _alter(nullable=True)


def downgrade() -> None:
    files = sa.table("files_files", sa.column("last_check", sa.Boolean()))
    # A file whose check could not be made is not known to be whole.
    op.execute(files.update().where(files.c.last_check.is_(None)).values(last_check=False))
    _alter(nullable=False)
