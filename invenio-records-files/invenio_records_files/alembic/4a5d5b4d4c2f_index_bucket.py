"""Index the bucket that records are looked up by."""

from __future__ import annotations

from alembic import op

revision = "4a5d5b4d4c2f"
down_revision = "1ba76da94103"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_records_buckets_bucket_id"), "records_buckets", ["bucket_id"])


def downgrade() -> None:
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        # The index that the foreign key needs, which MySQL dropped in favour of ours.
        op.create_index("fk_records_buckets_bucket_id_files_bucket", "records_buckets", ["bucket_id"])
    op.drop_index(op.f("ix_records_buckets_bucket_id"), "records_buckets")
