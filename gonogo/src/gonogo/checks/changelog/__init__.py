"""Checks of the change log (sections 2.2 and 5.3)."""
