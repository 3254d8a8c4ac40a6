"""Add the tables of uploads of free shape."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from invenio_db.shared import UTCDateTime
from sqlalchemy.dialects import mysql
from sqlalchemy_utils.types import UUIDType

revision = "b7d4f1a9c263"
down_revision = "b7c3d5e1f902"
branch_labels = None
depends_on = None

GIVE_BACK = """
UPDATE files_bucket SET size = size - (
    SELECT COALESCE(SUM(claimed), 0) FROM files_upload WHERE files_upload.bucket_id = files_bucket.id
) WHERE id IN (SELECT bucket_id FROM files_upload)
"""


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
    json = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    op.create_table(
        "files_upload",
        _time("created"),
        _time("updated"),
        sa.Column("id", UUIDType(), nullable=False),
        sa.Column("bucket_id", UUIDType(), nullable=False),
        sa.Column("key", _key(), nullable=True),
        sa.Column("owner", sa.String(255), nullable=True),
        sa.Column("protocol", sa.String(20), nullable=False),
        sa.Column("plan", sa.String(20), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=True),
        sa.Column("part_size", sa.BigInteger(), nullable=True),
        sa.Column("claimed", sa.BigInteger(), nullable=False),
        sa.Column("conditions", json, nullable=True),
        sa.Column("tags", json, nullable=True),
        sa.Column("metadata", json, nullable=True),
        sa.Column("storage_class", sa.String(1), nullable=True),
        sa.Column("state", json, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        _time("expires"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files_upload")),
        sa.ForeignKeyConstraint(
            ["bucket_id"],
            ["files_bucket.id"],
            name=op.f("fk_files_upload_bucket_id_files_bucket"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_files_upload_bucket_id"), "files_upload", ["bucket_id"])
    op.create_index(op.f("ix_files_upload_expires"), "files_upload", ["expires"])
    op.create_table(
        "files_upload_extent",
        _time("created"),
        _time("updated"),
        sa.Column("upload_id", UUIDType(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("claimed", sa.BigInteger(), nullable=False),
        sa.Column("digests", json, nullable=True),
        sa.Column("receipt", json, nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("writer", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("upload_id", "number", name=op.f("pk_files_upload_extent")),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["files_upload.id"],
            name=op.f("fk_files_upload_extent_upload_id_files_upload"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    # Nobody will ever give it back otherwise; the bytes are swept.
    op.execute(GIVE_BACK)
    op.drop_table("files_upload_extent")
    op.drop_table("files_upload")
