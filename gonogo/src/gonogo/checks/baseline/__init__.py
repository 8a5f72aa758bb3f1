"""Checks of the frozen baseline (section 3.2)."""
