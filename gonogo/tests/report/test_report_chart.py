"""The chart: draws what it is given, inside its frame, and says it in words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from gonogo.report.chart import HEIGHT, WIDTH, Chart, Mark, draw

values = st.one_of(st.none(), st.floats(0, 1e9, allow_nan=False))
points = st.lists(st.tuples(st.floats(-1e6, 1e6, allow_nan=False), values), max_size=40)


@given(points, st.lists(st.floats(-1e6, 1e6, allow_nan=False), max_size=4), st.text(max_size=20))
def test_anything_is_drawn_as_well_formed_svg_inside_its_frame(series, marks, title):
    title = re.sub(r"[^\x20-\ud7ff]", "", title)
    drawn = draw(
        Chart(title, "%", sorted(series, key=lambda p: p[0]), [Mark(at, title) for at in marks], 0.5, title)
    )
    if not any(value is not None for _, value in series):
        assert drawn == ""
        return
    root = ET.fromstring(drawn)
    for line in root.iter("polyline"):
        for pair in line.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_a_gap_breaks_the_line_and_a_lonely_point_is_still_seen():
    drawn = draw(Chart("t", "%", [(0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, None)]))
    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 1


def test_the_chart_says_its_range_and_marks_in_words():
    drawn = draw(Chart("Errors", "%", [(0, 0.0), (1, 0.5)], [Mark(0.5, "switch")], scale=100))
    assert 'aria-label="Errors: 2 readings between 0 and 50 %; switch at +0.5 s"' in drawn


def test_text_cannot_leave_its_place():
    drawn = draw(Chart('<script>"', "%", [(0, 1.0), (1, 1.0)], [Mark(0, "<b>")]))
    assert "<script" not in drawn
    assert "<b>" not in drawn


def test_an_axis_of_shares_ends_at_a_hundred():
    assert ">100 %</text>" in draw(Chart("t", "%", [(0, 1.0), (1, 0.9)], scale=100, most=100))
