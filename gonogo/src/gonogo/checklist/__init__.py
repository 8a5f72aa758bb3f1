"""The checklist as data, and the rules that turn findings and signatures into a verdict.

Pure but for reading its own table once. Neighbours: ``model`` and ``config`` below; ``release`` hands it a
record, ``checks`` asks it what there is to answer.
"""
