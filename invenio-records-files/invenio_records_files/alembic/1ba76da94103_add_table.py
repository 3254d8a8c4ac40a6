"""Add the table that links records to buckets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utils.types import UUIDType

revision = "1ba76da94103"
down_revision = "2da9a03b0833"
branch_labels = None
# The tables of Invenio-Files-REST and Invenio-Records that it refers to.
depends_on = ("2e97565eba72", "862037093962")


def upgrade() -> None:
    op.create_table(
        "records_buckets",
        sa.Column("record_id", UUIDType(), nullable=False),
        sa.Column("bucket_id", UUIDType(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "bucket_id", name=op.f("pk_records_buckets")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["records_metadata.id"], name=op.f("fk_records_buckets_record_id_records_metadata")
        ),
        sa.ForeignKeyConstraint(
            ["bucket_id"], ["files_bucket.id"], name=op.f("fk_records_buckets_bucket_id_files_bucket")
        ),
    )


def downgrade() -> None:
    op.drop_table("records_buckets")
