"""Let the result of a file's last check be unknown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f741aa746a7d"
down_revision = "2e97565eba72"
branch_labels = None
depends_on = None


def _alter(nullable: bool) -> None:
    with op.batch_alter_table("files_files") as table:
        table.alter_column("last_check", existing_type=sa.Boolean(), nullable=nullable)


def upgrade() -> None:
    _alter(nullable=True)


def downgrade() -> None:
    files = sa.table("files_files", sa.column("last_check", sa.Boolean()))
    # A file whose check could not be made is not known to be whole.
    op.execute(files.update().where(files.c.last_check.is_(None)).values(last_check=False))
    _alter(nullable=False)
