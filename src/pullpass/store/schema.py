"""The tables, as the stores use them. How they come to be is in ``pullpass.store.migrations``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
)
from sqlalchemy.engine import Dialect

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# "C" sorts by code point, as SQLite does and as Python does: one order on every replica, and no
# index that breaks when the operating system's locale data changes.
SortedText = Text().with_variant(Text(collation="C"), "postgresql")


def milliseconds(moment: datetime) -> int:
    """An aware time as whole milliseconds since 1970-01-01 UTC; finer parts are cut."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds: int) -> datetime:
    """The time that :func:`milliseconds` gave."""
    return _EPOCH + milliseconds * _MILLISECOND


class Milliseconds(TypeDecorator[datetime]):
    """An aware time, stored as :func:`milliseconds`."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else milliseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


def _organization() -> Column[str]:
    """The first part of a key of what belongs to an organization, and goes with it."""
    return Column(
        "organization_id",
        SortedText,
        ForeignKey("organizations.id", ondelete="CASCADE"),
        primary_key=True,
    )


metadata = MetaData()

organizations = Table(
    "organizations",
    metadata,
    Column("id", SortedText, primary_key=True),
    Column("name", SortedText, nullable=False),
    Column("created_at", Milliseconds, nullable=False),
    Column("created_by", SortedText, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", SortedText, primary_key=True),
    Column("name", SortedText, nullable=False),
    Column("type", SortedText, nullable=False),
    Column("email", SortedText),
    Column("created_at", Milliseconds, nullable=False),
)
# lower() of SQLite, and of PostgreSQL in the collation "C", changes A to Z only.
Index("users_email_key", func.lower(users.c.email), unique=True)

memberships = Table(
    "memberships",
    metadata,
    _organization(),
    Column("user_id", SortedText, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role", SortedText, nullable=False),
    Column("cluster", SortedText),
    Column("registries", Text),
)
Index("memberships_user_id", memberships.c.user_id)

tokens = Table(
    "tokens",
    metadata,
    Column("user_id", SortedText, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("id", SortedText, primary_key=True),
    Column("digest", SortedText, nullable=False, unique=True),
    Column("description", SortedText, nullable=False),
    Column("created_at", Milliseconds, nullable=False),
    Column("created_by", SortedText, nullable=False),
    Column("expires_at", Milliseconds),
    Column("subject", SortedText),
)
Index("tokens_expires_at", tokens.c.expires_at)

# The role that a rule gives is its user's membership: one place to ask, one to change.
trust_rules = Table(
    "trust_rules",
    metadata,
    _organization(),
    Column("id", SortedText, primary_key=True),
    Column(
        "user_id",
        SortedText,
        ForeignKey("users.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("issuer", SortedText, nullable=False),
    Column("audience", SortedText, nullable=False),
    Column("claims", Text, nullable=False),
    Column("lifetime", BigInteger, nullable=False),
    Column("created_at", Milliseconds, nullable=False),
    Column("created_by", SortedText, nullable=False),
    Column("version", BigInteger, nullable=False),
)

# Whom an OpenID provider calls what: a name is unique at its issuer, and never given to another
# (OpenID Connect Core 1.0, section 5.7).
identities = Table(
    "identities",
    metadata,
    Column("issuer", SortedText, primary_key=True),
    Column("subject", SortedText, primary_key=True),
    Column("user_id", SortedText, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Milliseconds, nullable=False),
    UniqueConstraint("user_id", "issuer", name="identities_user_key"),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("digest", SortedText, primary_key=True),
    Column(
        "token_digest",
        SortedText,
        ForeignKey("tokens.digest", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("expires_at", Milliseconds, nullable=False),
)
Index("browser_sessions_token_digest", browser_sessions.c.token_digest)
Index("browser_sessions_expires_at", browser_sessions.c.expires_at)

records = Table(
    "records",
    metadata,
    _organization(),
    Column("id", SortedText, primary_key=True),
    Column("registry", SortedText, nullable=False),
    Column("prefix", SortedText, nullable=False),
    Column("type", SortedText, nullable=False),
    Column("enable_ci", Boolean, nullable=False),
    Column("secrets", Text),
    Column("options", Text),
    Column("sealed_creds", LargeBinary),
    Column("created_at", Milliseconds, nullable=False),
    Column("created_by", SortedText),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("organization_id", "prefix", name="records_prefix_key"),
)

data_keys = Table(
    "data_keys",
    metadata,
    _organization(),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", Milliseconds, nullable=False),
)

# A row is a short-lived credential, or the attempt to get one, that all replicas share:
# ``identity`` is what it is issued from, ``scope`` what of the upstream it is good for.
issued = Table(
    "issued",
    metadata,
    _organization(),
    Column("identity", SortedText, primary_key=True),
    Column("scope", SortedText, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("sealed", LargeBinary),
    Column("issued_at", Milliseconds),
    Column("expires_at", Milliseconds),
    Column("renew_at", Milliseconds),
    Column("lease", SortedText),
    Column("lease_until", Milliseconds),
    Column("failures", BigInteger, nullable=False),
    Column("failure_code", SortedText),
    Column("failure_message", SortedText),
    Column("retry_at", Milliseconds),
    Column("touched_at", Milliseconds, nullable=False),
)
Index("issued_touched_at", issued.c.touched_at)

# No foreign key to the records: built-in ones, which are in no table, are checked too.
checks = Table(
    "checks",
    metadata,
    _organization(),
    Column("record_id", SortedText, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("code", SortedText, nullable=False),
    Column("message", SortedText, nullable=False),
    Column("checked_at", Milliseconds, nullable=False),
    Column("since", Milliseconds, nullable=False),
)

# What the checks of a record have come to: a row for those in a row that came to the same.
check_runs = Table(
    "check_runs",
    metadata,
    _organization(),
    Column("record_id", SortedText, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("code", SortedText, nullable=False),
    Column("began_at", Milliseconds, nullable=False),
    Column("ended_at", Milliseconds, nullable=False),
    Column("checks", BigInteger, nullable=False),
)

clusters = Table(
    "clusters",
    metadata,
    _organization(),
    Column("id", SortedText, primary_key=True),
    Column("reported_at", Milliseconds, nullable=False),
    Column("report", Text, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", SortedText, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

feeds = Table(
    "feeds",
    metadata,
    Column("feed", SortedText, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("feed", SortedText, ForeignKey("feeds.feed", ondelete="CASCADE"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("kind", SortedText, nullable=False),
    Column("subject", SortedText, nullable=False),
    Column("at", Milliseconds, nullable=False),
)
Index("changes_at", changes.c.at)

# No foreign keys: the log outlives what it tells of. What ``hash`` and the seals are made of is in
# ``pullpass.domain.audit``; the columns between ``at`` and ``document`` only find an entry.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("organization_id", SortedText, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("at", Milliseconds, nullable=False),
    Column("action", SortedText, nullable=False),
    Column("user_id", SortedText, nullable=False),
    Column("registry_id", SortedText),
    Column("result", SortedText, nullable=False),
    Column("document", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
Index(
    "audit_entries_at",
    audit_entries.c.organization_id,
    audit_entries.c.at,
    audit_entries.c.sequence,
)

audit_chains = Table(
    "audit_chains",
    metadata,
    Column("organization_id", SortedText, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("seal", LargeBinary),
    Column("pruned_sequence", BigInteger, nullable=False),
    Column("pruned_hash", LargeBinary, nullable=False),
    Column("pruned_seal", LargeBinary),
)
