"""The real parts around Pullpass, started for a test on loopback and stopped after it."""
