"""Trust rules, and what the users behind them need: a limit to records, the subject of a token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("memberships", sa.Column("registries", sa.Text))
    op.add_column("tokens", sa.Column("subject", _TEXT))
    op.create_table(
        "trust_rules",
        sa.Column(
            "organization_id",
            _TEXT,
            sa.ForeignKey("organizations.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column(
            "user_id",
            _TEXT,
            sa.ForeignKey("users.id", ondelete="CASCADE"),
            nullable=False,
            unique=True,
        ),
        sa.Column("issuer", _TEXT, nullable=False),
        sa.Column("audience", _TEXT, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("lifetime", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
