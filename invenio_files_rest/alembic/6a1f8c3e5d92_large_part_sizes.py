"""Make room for part sizes of 2 GiB and more, which ``FILES_REST_MULTIPART_CHUNKSIZE_MAX`` allows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "6a1f8c3e5d92"
down_revision = "e5b9d2704f18"
branch_labels = None
depends_on = None


def _alter(old: sa.Integer, new: sa.Integer) -> None:
    # An integer of SQLite has room for both.
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("files_multipartobject", "chunk_size", existing_type=old, type_=new, existing_nullable=True)


def upgrade() -> None:
    _alter(sa.Integer(), sa.BigInteger())


def downgrade() -> None:
    _alter(sa.BigInteger(), sa.Integer())
