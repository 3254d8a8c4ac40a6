"""Let all databases keep and compare values alike.

Keys and URIs differ where any character does, not in case, accents or trailing spaces alone, and are ordered by their
bytes. On MySQL and MariaDB, time stamps get their microseconds, which put versions in order, and cannot be missing.

The way back refuses where two tags of an object, or two URIs, are equal to the collation of the database.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3f6b0c9ad172"
down_revision = "08e4a71525b6"
branch_labels = None
depends_on = None

TIMESTAMPED = (
    "files_bucket",
    "files_files",
    "files_location",
    "files_multipartobject",
    "files_multipartobject_part",
    "files_object",
)
EXACT = (
    ("files_buckettags", "key", "VARCHAR(255)", "NOT NULL"),
    ("files_files", "uri", "TEXT", "NULL"),
    ("files_multipartobject", "key", "TEXT", "NULL"),
    ("files_object", "key", "TEXT", "NOT NULL"),
    ("files_objecttags", "key", "VARCHAR(255)", "NOT NULL"),
)
BUCKET_OF_OBJECT = "fk_files_object_bucket_id_files_bucket"


def _alter_postgresql(collation: str) -> None:
    for table, column, text, _ in EXACT:
        op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE {text} COLLATE "{collation}"')


def _alter_mysql(datetime: str, collation: str) -> None:
    for table in TIMESTAMPED:
        op.execute(f"UPDATE {table} SET created = COALESCE(updated, UTC_TIMESTAMP()) WHERE created IS NULL")
        op.execute(f"UPDATE {table} SET updated = created WHERE updated IS NULL")
        op.execute(f"ALTER TABLE {table} MODIFY created {datetime} NOT NULL, MODIFY updated {datetime} NOT NULL")
    op.execute(f"ALTER TABLE files_files MODIFY last_check_at {datetime} NULL")
    for table, column, _, null in EXACT:
        op.execute(f"ALTER TABLE {table} MODIFY `{column}` VARCHAR(255) {collation} {null}")


def _repair_mysql() -> None:
    """Undo two differences of databases that were migrated before 6.2 from those that were made at once."""
    op.execute("ALTER TABLE files_objecttags MODIFY value TEXT NOT NULL")
    for key in sa.inspect(op.get_bind()).get_foreign_keys("files_object"):
        if key["constrained_columns"] == ["bucket_id"] and key["name"] != BUCKET_OF_OBJECT:
            op.drop_constraint(key["name"], "files_object", type_="foreignkey")
            op.create_foreign_key(
                BUCKET_OF_OBJECT, "files_object", "files_bucket", ["bucket_id"], ["id"], ondelete="RESTRICT"
            )


def upgrade() -> None:
    dialect = op.get_bind().dialect
    if dialect.name == "postgresql":
        _alter_postgresql("C")
    elif dialect.name in ("mysql", "mariadb"):
        collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
        _alter_mysql("DATETIME(6)", f"CHARACTER SET utf8mb4 COLLATE {collation}")
        _repair_mysql()


def downgrade() -> None:
    dialect = op.get_bind().dialect
    if dialect.name == "postgresql":
        _alter_postgresql("default")
    elif dialect.name in ("mysql", "mariadb"):
        _alter_mysql("DATETIME", "")
