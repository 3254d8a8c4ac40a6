"""Rebuild the sizes of buckets from their versions and multipart uploads.

Before 6.2 a delete marker was taken for space regained, although the versions that it hides were kept.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy_utils.types import UUIDType

revision = "e5b9d2704f18"
down_revision = "c4e81f0b7a36"
branch_labels = None
depends_on = None

buckets = sa.table("files_bucket", sa.column("id", UUIDType()), sa.column("size", sa.BigInteger()))
files = sa.table("files_files", sa.column("id", UUIDType()), sa.column("size", sa.BigInteger()))
objects = sa.table("files_object", sa.column("bucket_id", UUIDType()), sa.column("file_id", UUIDType()))
uploads = sa.table("files_multipartobject", sa.column("bucket_id", UUIDType()), sa.column("size", sa.BigInteger()))


def _sum(column: Any, source: Any, bucket_id: Any) -> Any:
    total = sa.select(sa.func.coalesce(sa.func.sum(column), 0)).select_from(source)
    return total.where(bucket_id == buckets.c.id).correlate(buckets).scalar_subquery()


def upgrade() -> None:
    versions = _sum(files.c.size, objects.join(files, files.c.id == objects.c.file_id), objects.c.bucket_id)
    size = versions + _sum(uploads.c.size, uploads, uploads.c.bucket_id)
    op.execute(buckets.update().where(buckets.c.size != size).values(size=size))


def downgrade() -> None:
    pass
