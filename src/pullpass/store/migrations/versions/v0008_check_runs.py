"""What the checks of each record have come to, over time; begins with the last one of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "check_runs",
        sa.Column(
            "organization_id",
            _TEXT,
            sa.ForeignKey("organizations.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("record_id", _TEXT, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("code", _TEXT, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("checks", sa.BigInteger, nullable=False),
    )
    # How many checks there were before is not known: of each record there was one at least.
    op.execute(
        "INSERT INTO check_runs"
        " (organization_id, record_id, number, code, began_at, ended_at, checks)"
        " SELECT organization_id, record_id, 1, code, checked_at, checked_at, 1 FROM checks"
    )
