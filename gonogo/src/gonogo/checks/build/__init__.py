"""Checks of the code and how it is built (section 1.1)."""
