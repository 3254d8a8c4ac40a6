"""Add the tables, but for object tags."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy_utils.types import UUIDType

revision = "2e97565eba72"
down_revision = "52ce868f33c3"
branch_labels = None
depends_on = None

EXACT = sa.Text().with_variant(mysql.VARCHAR(255), "mysql", "mariadb")


def _timestamps() -> list[sa.Column[Any]]:
    return [sa.Column("created", sa.DateTime(), nullable=False), sa.Column("updated", sa.DateTime(), nullable=False)]


def upgrade() -> None:
    op.create_table(
        "files_location",
        *_timestamps(),
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("uri", sa.String(255), nullable=False),
        sa.Column("default", sa.Boolean(name="default"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files_location")),
        sa.UniqueConstraint("name", name=op.f("uq_files_location_name")),
    )
    op.create_table(
        "files_files",
        *_timestamps(),
        sa.Column("id", UUIDType(), nullable=False),
        sa.Column("uri", EXACT, nullable=True),
        sa.Column("storage_class", sa.String(1), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("checksum", sa.String(255), nullable=True),
        sa.Column("readable", sa.Boolean(name="readable"), nullable=False),
        sa.Column("writable", sa.Boolean(name="writable"), nullable=False),
        sa.Column("last_check_at", sa.DateTime(), nullable=True),
        sa.Column("last_check", sa.Boolean(name="last_check"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files_files")),
        sa.UniqueConstraint("uri", name=op.f("uq_files_files_uri")),
    )
    op.create_table(
        "files_bucket",
        *_timestamps(),
        sa.Column("id", UUIDType(), nullable=False),
        sa.Column("default_location", sa.Integer(), nullable=False),
        sa.Column("default_storage_class", sa.String(1), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("quota_size", sa.BigInteger(), nullable=True),
        sa.Column("max_file_size", sa.BigInteger(), nullable=True),
        sa.Column("locked", sa.Boolean(name="locked"), nullable=False),
        sa.Column("deleted", sa.Boolean(name="deleted"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files_bucket")),
        sa.ForeignKeyConstraint(
            ["default_location"],
            ["files_location.id"],
            name=op.f("fk_files_bucket_default_location_files_location"),
            ondelete="RESTRICT",
        ),
    )
    op.create_table(
        "files_buckettags",
        sa.Column("bucket_id", UUIDType(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("bucket_id", "key", name=op.f("pk_files_buckettags")),
        sa.ForeignKeyConstraint(
            ["bucket_id"],
            ["files_bucket.id"],
            name=op.f("fk_files_buckettags_bucket_id_files_bucket"),
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "files_object",
        *_timestamps(),
        sa.Column("bucket_id", UUIDType(), nullable=False),
        sa.Column("key", EXACT, nullable=False),
        sa.Column("version_id", UUIDType(), nullable=False),
        sa.Column("file_id", UUIDType(), nullable=True),
        sa.Column("_mimetype", sa.String(255), nullable=True),
        sa.Column("is_head", sa.Boolean(name="is_head"), nullable=False),
        sa.PrimaryKeyConstraint("bucket_id", "key", "version_id", name=op.f("pk_files_object")),
        sa.ForeignKeyConstraint(
            ["bucket_id"],
            ["files_bucket.id"],
            name=op.f("fk_files_object_bucket_id_files_bucket"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["files_files.id"],
            name=op.f("fk_files_object_file_id_files_files"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index(op.f("ix_files_object__mimetype"), "files_object", ["_mimetype"])
    op.create_table(
        "files_multipartobject",
        *_timestamps(),
        sa.Column("upload_id", UUIDType(), nullable=False),
        sa.Column("bucket_id", UUIDType(), nullable=True),
        sa.Column("key", EXACT, nullable=True),
        sa.Column("file_id", UUIDType(), nullable=False),
        sa.Column("chunk_size", sa.Integer(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("completed", sa.Boolean(name="completed"), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_files_multipartobject")),
        sa.UniqueConstraint("upload_id", "bucket_id", "key", name="uix_item"),
        sa.ForeignKeyConstraint(
            ["bucket_id"],
            ["files_bucket.id"],
            name=op.f("fk_files_multipartobject_bucket_id_files_bucket"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["files_files.id"],
            name=op.f("fk_files_multipartobject_file_id_files_files"),
            ondelete="RESTRICT",
        ),
    )
    op.create_table(
        "files_multipartobject_part",
        *_timestamps(),
        sa.Column("upload_id", UUIDType(), nullable=False),
        sa.Column("part_number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("checksum", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("upload_id", "part_number", name=op.f("pk_files_multipartobject_part")),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["files_multipartobject.upload_id"],
            name=op.f("fk_files_multipartobject_part_upload_id_files_multipartobject"),
            ondelete="RESTRICT",
        ),
    )


def downgrade() -> None:
    for table in (
        "files_multipartobject_part",
        "files_multipartobject",
        "files_object",
        "files_buckettags",
        "files_bucket",
        "files_files",
        "files_location",
    ):
        op.drop_table(table)
