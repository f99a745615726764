"""The first schema. Each column's meaning is in ``pullpass.store.schema``."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
    )
    _create_users()
    _create_records()
    op.create_table(
        "data_keys",
        _owner("organization_id", "organizations.id"),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    _create_feeds()


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("email", _TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("users_email_key", "users", [sa.text("lower(email)")], unique=True)
    op.create_table(
        "memberships",
        _owner("organization_id", "organizations.id"),
        _owner("user_id", "users.id"),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("cluster", _TEXT),
    )
    op.create_index("memberships_user_id", "memberships", ["user_id"])
    op.create_table(
        "tokens",
        _owner("user_id", "users.id"),
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("digest", _TEXT, nullable=False, unique=True),
        sa.Column("description", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
    )
    op.create_index("tokens_expires_at", "tokens", ["expires_at"])


def _create_records() -> None:
    op.create_table(
        "records",
        _owner("organization_id", "organizations.id"),
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("registry", _TEXT, nullable=False),
        sa.Column("prefix", _TEXT, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("enable_ci", sa.Boolean, nullable=False),
        sa.Column("secrets", sa.Text),
        sa.Column("options", sa.Text),
        sa.Column("sealed_creds", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", _TEXT),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("organization_id", "prefix", name="records_prefix_key"),
    )


def _create_feeds() -> None:
    op.create_table(
        "feeds",
        sa.Column("feed", _TEXT, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "changes",
        _owner("feed", "feeds.feed"),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("changes_at", "changes", ["at"])


def _owner(name: str, target: str) -> sa.Column[str]:
    return sa.Column(name, _TEXT, sa.ForeignKey(target, ondelete="CASCADE"), primary_key=True)
