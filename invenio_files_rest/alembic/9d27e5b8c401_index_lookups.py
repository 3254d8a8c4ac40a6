"""Index what queries look for: the versions and the head of a key, listings by key, and who refers to a file."""

from __future__ import annotations

from alembic import op

revision = "9d27e5b8c401"
down_revision = "3f6b0c9ad172"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_files_multipartobject_file_id", "files_multipartobject", ["file_id"]),
    ("ix_files_object_bucket_id_key_is_head", "files_object", ["bucket_id", "key", "is_head"]),
    ("ix_files_object_file_id", "files_object", ["file_id"]),
)


def upgrade() -> None:
    for name, table, columns in INDEXES:
        op.create_index(op.f(name), table, columns)


def downgrade() -> None:
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        # The indexes that the foreign keys need, which MySQL dropped in favour of ours.
        for table in ("files_multipartobject", "files_object"):
            op.create_index(f"fk_{table}_file_id_files_files", table, ["file_id"])
    for name, table, _ in INDEXES:
        op.drop_index(op.f(name), table)
