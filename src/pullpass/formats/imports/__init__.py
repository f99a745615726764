"""Credentials in other people's files, and the records that an import makes of them."""
