"""Add tags of object versions, which refer to a version by its identifier alone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utils.types import UUIDType

revision = "8ae99b034410"
down_revision = "f741aa746a7d"
branch_labels = None
depends_on = None


def _set_type(inspector: Any, table: Any, column: dict[str, Any]) -> None:
    """Name the type that SQLite, whose tables are copied to be altered, does not tell."""
    if column["name"] in ("bucket_id", "file_id", "version_id"):
        column["type"] = UUIDType()


REFLECT = {"listeners": [("column_reflect", _set_type)]}


def _set_primary_key(*columns: str) -> None:
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        # In one statement, since a table of MySQL with foreign keys may lack neither the one nor the other.
        names = ", ".join(f"`{name}`" for name in columns)
        op.execute(f"ALTER TABLE files_object DROP PRIMARY KEY, ADD PRIMARY KEY ({names})")
        return
    with op.batch_alter_table("files_object", reflect_kwargs=REFLECT) as table:
        table.drop_constraint(op.f("pk_files_object"), type_="primary")
        table.create_primary_key(op.f("pk_files_object"), list(columns))


def upgrade() -> None:
    with op.batch_alter_table("files_object", reflect_kwargs=REFLECT) as table:
        table.create_unique_constraint(op.f("uq_files_object_bucket_id"), ["bucket_id", "version_id", "key"])
    _set_primary_key("version_id")
    op.create_table(
        "files_objecttags",
        sa.Column("version_id", UUIDType(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "key", name=op.f("pk_files_objecttags")),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["files_object.version_id"],
            name=op.f("fk_files_objecttags_version_id_files_object"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("files_objecttags")
    _set_primary_key("bucket_id", "key", "version_id")
    with op.batch_alter_table("files_object", reflect_kwargs=REFLECT) as table:
        table.drop_constraint(op.f("uq_files_object_bucket_id"), type_="unique")
