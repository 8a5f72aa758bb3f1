"""Checks of what is needed to see the service (section 1.2)."""
