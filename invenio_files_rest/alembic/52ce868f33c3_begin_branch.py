"""Begin the branch."""

from __future__ import annotations

revision = "52ce868f33c3"
down_revision = None
branch_labels = ("invenio_files_rest",)
depends_on = "dbdbc1b19cf2"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
