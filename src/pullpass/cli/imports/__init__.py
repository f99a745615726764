"""``pullpass import``: credentials that are elsewhere become records."""
