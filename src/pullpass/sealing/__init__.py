"""Encryption at rest: envelope encryption by Tink, bound to where a value belongs."""
