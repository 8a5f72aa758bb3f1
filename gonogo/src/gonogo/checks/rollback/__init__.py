"""Checks that the way back works (section 3.2)."""
