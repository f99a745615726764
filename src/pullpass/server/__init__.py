"""The composition root: settings, wiring, start and stop. No globals."""
