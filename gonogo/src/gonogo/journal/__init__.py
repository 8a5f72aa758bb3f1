"""The append-only, hash-chained record of everything that happens, and the evidence beside it.

Neighbours: ``model`` below (the entries and facts); everyone above appends and folds. Nothing here judges.
"""
