"""Checks of the transports (section 1.2)."""
