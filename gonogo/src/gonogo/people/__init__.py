"""The people of a release: who they are, what they sign and whether a signature counts.

Neighbours: ``journal`` and ``checklist`` below; ``release`` and ``cli`` use it. Keys stay where they are: a
private key file is read for one signature and never kept.
"""
