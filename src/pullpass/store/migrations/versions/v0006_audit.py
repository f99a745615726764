"""The audit log: its entries, and where each organization's chain begins and ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("organization_id", _TEXT, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("action", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=False),
        sa.Column("registry_id", _TEXT),
        sa.Column("result", _TEXT, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("audit_entries_at", "audit_entries", ["organization_id", "at", "sequence"])
    op.create_table(
        "audit_chains",
        sa.Column("organization_id", _TEXT, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("seal", sa.LargeBinary),
        sa.Column("pruned_sequence", sa.BigInteger, nullable=False),
        sa.Column("pruned_hash", sa.LargeBinary, nullable=False),
        sa.Column("pruned_seal", sa.LargeBinary),
    )
