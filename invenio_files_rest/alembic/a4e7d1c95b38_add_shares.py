"""Add the table of links for others."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from invenio_db.shared import UTCDateTime
from sqlalchemy.dialects import mysql
from sqlalchemy_utils.types import UUIDType

revision = "a4e7d1c95b38"
down_revision = "f3b8d6c2e417"
branch_labels = None
depends_on = None


def _key() -> Any:
    dialect = op.get_bind().dialect
    if dialect.name in ("mysql", "mariadb"):
        collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
        return mysql.VARCHAR(255, charset="utf8mb4", collation=collation)
    return sa.Text(collation="C") if dialect.name == "postgresql" else sa.Text()


def _time(name: str) -> sa.Column[Any]:
    exact = UTCDateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    return sa.Column(name, exact, nullable=False)


def upgrade() -> None:
    op.create_table(
        "files_share",
        _time("created"),
        _time("updated"),
        sa.Column("id", UUIDType(), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("bucket_id", UUIDType(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("key", _key(), nullable=False),
        sa.Column("version_id", UUIDType(), nullable=True),
        sa.Column("note", sa.String(255), nullable=False),
        _time("expires"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files_share")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_files_share_token_hash")),
        sa.ForeignKeyConstraint(
            ["bucket_id"],
            ["files_bucket.id"],
            name=op.f("fk_files_share_bucket_id_files_bucket"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_files_share_bucket_id"), "files_share", ["bucket_id"])
    op.create_index(op.f("ix_files_share_expires"), "files_share", ["expires"])


def downgrade() -> None:
    op.drop_table("files_share")
