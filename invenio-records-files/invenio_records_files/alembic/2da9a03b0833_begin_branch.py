"""Begin the branch."""

from __future__ import annotations

revision = "2da9a03b0833"
down_revision = None
branch_labels = ("invenio_records_files",)
depends_on = "dbdbc1b19cf2"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
