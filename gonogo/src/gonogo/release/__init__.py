"""A release: its manifest, its fingerprint, its record and the decision on it.

Neighbours: ``people`` and ``checklist`` below say what counts; ``checks`` and ``deploy`` above append what
happens; ``cli`` shows it.
"""
