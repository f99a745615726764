"""Short-lived credentials, shared by all replicas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "issued",
        sa.Column(
            "organization_id",
            _TEXT,
            sa.ForeignKey("organizations.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("identity", _TEXT, primary_key=True),
        sa.Column("scope", _TEXT, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("issued_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("renew_at", sa.BigInteger),
        sa.Column("lease", _TEXT),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("failure_code", _TEXT),
        sa.Column("failure_message", _TEXT),
        sa.Column("retry_at", sa.BigInteger),
        sa.Column("touched_at", sa.BigInteger, nullable=False),
    )
    op.create_index("issued_touched_at", "issued", ["touched_at"])
