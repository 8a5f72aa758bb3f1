"""Checks of the configuration that runs (section 1.2)."""
