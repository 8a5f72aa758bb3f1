"""An announcement is said once, also when a crash tore the file."""

from __future__ import annotations

import json

from gonogo.adapters.announce import FileChannel


def test_what_was_sent_is_delivered_and_nothing_else_is(tmp_path):
    channel = FileChannel(tmp_path / "said.jsonl")
    assert not channel.delivered("dep-1/started")
    channel.send("dep-1/started", "it begins", "2026-11-23T12:00:00Z")
    assert channel.delivered("dep-1/started")
    assert not channel.delivered("dep-1/done")
    assert not channel.delivered("dep-1")


def test_a_line_torn_by_a_crash_is_not_delivered_and_does_not_spoil_the_next(tmp_path):
    channel = FileChannel(tmp_path / "said.jsonl")
    channel.path.write_bytes(b'{"id": "dep-1/started", "text": "it beg')
    assert not channel.delivered("dep-1/started")
    channel.send("dep-1/started", "it begins", "2026-11-23T12:00:00Z")
    assert channel.delivered("dep-1/started")


def test_text_of_any_kind_stays_on_one_line(tmp_path):
    channel = FileChannel(tmp_path / "said.jsonl")
    channel.send("a", 'first\nsecond "quoted" ünïcode', "t")
    lines = [line for line in channel.path.read_text().split("\n") if line]
    assert json.loads(lines[0])["text"] == 'first\nsecond "quoted" ünïcode'
