"""Checks of production just before the change (section 3.2)."""
