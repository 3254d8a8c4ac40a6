"""Add the table that says which locations have a mark in their folder. Those that are there have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy_utils.types import UUIDType

revision = "b7c3d5e1f902"
down_revision = "6a1f8c3e5d92"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "files_location_mark",
        sa.Column("created", TIMESTAMP, nullable=False),
        sa.Column("updated", TIMESTAMP, nullable=False),
        sa.Column("location_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("uri", sa.String(255), nullable=False),
        sa.Column("mark", UUIDType(), nullable=False),
        sa.PrimaryKeyConstraint("location_id", name=op.f("pk_files_location_mark")),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["files_location.id"],
            name=op.f("fk_files_location_mark_location_id_files_location"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("files_location_mark")
