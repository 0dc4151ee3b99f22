"""What changes for streams is told on a page as in the terminal."""

from __future__ import annotations

import math

from offscript.training.compare import Judgement, Shift
from offscript.training.shift_page import shift_section


def test_streams_that_alert_under_one_model_alone_are_listed_highest_first() -> None:
    shift = Shift(
        (
            Judgement("quiet", 1.0, 1.5, 7.0, 6.0),
            Judgement("late", 1.0, 6.5, 7.0, 6.0),
            Judgement("<b>loud</b>", 2.0, 9.5, 7.0, 6.0),
            Judgement("gone", 8.0, 2.0, 7.0, 6.0),
            Judgement("both", 8.0, 8.0, 7.0, 6.0),
            Judgement("empty", -math.inf, -math.inf, 7.0, 6.0),
        ),
        0.5,
        0.25,
    )

    shown = shift_section(shift, "streams")

    assert "<dt>Judged</dt><dd>6 streams</dd>" in shown
    assert "<dt>Alerts before</dt><dd>2</dd>" in shown
    assert "<dt>Alerts after</dt><dd>3</dd>" in shown
    assert "<dd>3 → 1.5</dd>" in shown
    row = '<tr><th scope="row">{}</th><td>{} (7.0)</td><td>{} (6.0)</td></tr>'
    loud, late = (
        row.format("&lt;b&gt;loud&lt;/b&gt;", "2.0", "9.5"),
        row.format("late", "1.0", "6.5"),
    )
    assert loud + late in shown
    assert row.format("gone", "8.0", "2.0") in shown
    assert not {"quiet", "both", "empty"} & set(shown.replace(">", "<").split("<"))


def test_past_fifty_streams_of_a_kind_their_number_is_told() -> None:
    every = tuple(Judgement(f"stream {n}", 1.0, 9.0 + n, 7.0, 7.0) for n in range(60))

    shown = shift_section(Shift(every, 0.1, 0.1), "streams")

    assert shown.count("<tr><th") == 50 + 1  # the heading
    assert "50 of 60; all with --json" in shown


def test_an_endless_log_is_asked_for_where_there_is_none() -> None:
    assert "give a log with --streams" in shift_section(None, "blocks")
