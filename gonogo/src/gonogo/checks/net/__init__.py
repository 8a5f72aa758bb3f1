"""Checks of network exposure (section 1.3)."""
