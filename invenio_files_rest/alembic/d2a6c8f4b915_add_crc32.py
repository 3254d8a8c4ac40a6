"""Add the table of CRC-32 checksums."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utils.types import UUIDType

revision = "d2a6c8f4b915"
down_revision = "b7d4f1a9c263"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files_crc32",
        sa.Column("file_id", UUIDType(), nullable=False),
        sa.Column("crc", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_files_crc32")),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files_files.id"], name=op.f("fk_files_crc32_file_id_files_files"), ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("files_crc32")
