"""Checks of how data is protected (section 1.3)."""
