"""Run by Alembic within ``migrate``, on the connection and in the transaction given there."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
