"""Index the foreign keys that tags, objects and uploads are looked up by."""

from __future__ import annotations

from alembic import op

revision = "e172c837b036"
down_revision = "a29271fd78f8"
branch_labels = None
depends_on = None

INDEXED = {
    "files_buckettags": "bucket_id",
    "files_multipartobject": "bucket_id",
    "files_object": "bucket_id",
    "files_objecttags": "version_id",
}


def upgrade() -> None:
    for table, column in INDEXED.items():
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        # The index that the foreign key needs, which MySQL dropped in favour of ours.
        op.create_index("fk_files_multipartobject_bucket_id_files_bucket", "files_multipartobject", ["bucket_id"])
    for table, column in INDEXED.items():
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
