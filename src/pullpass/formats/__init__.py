"""How each consumer reads credentials: pure, nothing is asked or written here."""
