"""The last report of each cluster's agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "clusters",
        sa.Column(
            "organization_id",
            _TEXT,
            sa.ForeignKey("organizations.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("reported_at", sa.BigInteger, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
    )
