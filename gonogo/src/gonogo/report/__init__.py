"""Views of a release: the board, the timeline and the page that shows both.

Views are computed from the record and decide nothing. ``gonogo.cli`` prints them in a terminal, this
package renders the HTML report. Neighbours: ``release`` and ``checklist`` below, ``bootstrap`` above.
"""
