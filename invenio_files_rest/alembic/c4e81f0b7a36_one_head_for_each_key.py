"""Leave one head to each key, and let PostgreSQL see to it.

Databases that were migrated before 6.2 lost the partial index on their way, and concurrent uploads may have made
several heads of a key since: the newest stays the head. A key none of whose versions is its head stays as it is, since
the head was removed on purpose.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utils.types import UUIDType

revision = "c4e81f0b7a36"
down_revision = "9d27e5b8c401"
branch_labels = None
depends_on = None

objects = sa.table(
    "files_object",
    sa.column("version_id", UUIDType()),
    sa.column("bucket_id", UUIDType()),
    sa.column("key", sa.Text()),
    sa.column("is_head", sa.Boolean()),
    sa.column("created", sa.DateTime()),
)


def upgrade() -> None:
    place = sa.func.row_number().over(
        partition_by=(objects.c.bucket_id, objects.c.key), order_by=(objects.c.created.desc(), objects.c.version_id)
    )
    # The subquery within also lets MySQL update what it selects from.
    heads = sa.select(objects.c.version_id, place.label("place")).where(objects.c.is_head).subquery()
    superseded = sa.select(heads.c.version_id).where(heads.c.place > 1)
    op.execute(objects.update().where(objects.c.version_id.in_(superseded)).values(is_head=False))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS ix_uq_partial_files_object_is_head"
            " ON files_object (bucket_id, key) WHERE is_head"
        )


def downgrade() -> None:
    pass
