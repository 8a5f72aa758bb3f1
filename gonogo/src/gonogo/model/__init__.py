"""Frozen facts that every other part of gonogo speaks in.

No input or output, no clock, no randomness: times and identifiers are passed in.
Everything here may be imported by everyone; this package imports nothing of gonogo.
"""
