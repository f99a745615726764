"""Sessions of browsers that are signed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "browser_sessions",
        sa.Column("digest", _TEXT, primary_key=True),
        sa.Column(
            "token_digest",
            _TEXT,
            sa.ForeignKey("tokens.digest", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("browser_sessions_token_digest", "browser_sessions", ["token_digest"])
    op.create_index("browser_sessions_expires_at", "browser_sessions", ["expires_at"])
