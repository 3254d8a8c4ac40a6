"""Let PostgreSQL allow one head for each key.

A database may have come here with several, made by concurrent uploads: the newest of them stays the head.
"""

from __future__ import annotations

from alembic import op

revision = "a29271fd78f8"
down_revision = "8ae99b034410"
branch_labels = None
depends_on = None

INDEX = "ix_uq_partial_files_object_is_head"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        "UPDATE files_object SET is_head = false WHERE version_id IN (SELECT version_id FROM (SELECT version_id,"
        " row_number() OVER (PARTITION BY bucket_id, key ORDER BY created DESC, version_id) AS place"
        " FROM files_object WHERE is_head) AS heads WHERE place > 1)"
    )
    op.execute(f"CREATE UNIQUE INDEX {INDEX} ON files_object (bucket_id, key) WHERE is_head")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP INDEX IF EXISTS {INDEX}")
