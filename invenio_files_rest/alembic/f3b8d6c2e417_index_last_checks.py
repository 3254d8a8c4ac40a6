"""Index when files were checked, so that a batch of fixity checks does not read the rows of all files.

On a large table this takes minutes in which nobody can write. On PostgreSQL the index can be made beforehand, while all
goes on, with ``CREATE INDEX CONCURRENTLY``: it is found by its name.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "f3b8d6c2e417"
down_revision = "d2a6c8f4b915"
branch_labels = None
depends_on = None

INDEX = "ix_files_files_last_check_at_id"


def upgrade() -> None:
    if INDEX not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("files_files")}:
        op.create_index(INDEX, "files_files", ["last_check_at", "id"])


def downgrade() -> None:
    op.drop_index(INDEX, "files_files")
