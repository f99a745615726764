"""The only SQL of the product: one implementation, two dialects (SQLite and PostgreSQL)."""
