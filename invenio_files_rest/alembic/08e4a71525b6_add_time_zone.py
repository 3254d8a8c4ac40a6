"""Give the time stamps a time zone, where the database keeps one. They have always been UTC."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "08e4a71525b6"
down_revision = "e172c837b036"
branch_labels = None
depends_on = None

COLUMNS = {
    "files_bucket": ("created", "updated"),
    "files_files": ("created", "updated", "last_check_at"),
    "files_location": ("created", "updated"),
    "files_multipartobject": ("created", "updated"),
    "files_multipartobject_part": ("created", "updated"),
    "files_object": ("created", "updated"),
}


def _alter(timezone: bool) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    # Unlike USING, this also spares PostgreSQL the rewriting of the tables.
    op.execute("SET LOCAL TIME ZONE 'UTC'")
    for table, columns in COLUMNS.items():
        for column in columns:
            op.alter_column(table, column, type_=sa.DateTime(timezone=timezone))


def upgrade() -> None:
    _alter(timezone=True)


def downgrade() -> None:
    _alter(timezone=False)
