"""Checks of who may speak to the service (section 1.3)."""
