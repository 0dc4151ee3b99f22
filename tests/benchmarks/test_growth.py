"""Every size is changed alone, and all that was measured is drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import asdict

import pytest

from offscript.benchmarks import growth
from offscript.benchmarks.growth import DECODERS, changed, drawn, of_decoders, of_threads, untrained
from offscript.benchmarks.growth_figure import draw
from offscript.benchmarks.results import FOLDER, HERE, read_results
from offscript.model.config import preset

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("what", DECODERS)
def test_one_size_is_changed_and_no_other(what: str) -> None:
    base = asdict(preset("tiny", growth.D_VOCAB))
    for value in DECODERS[what]:
        other = asdict(changed(what, value))
        differing = {name for name in base if base[name] != other[name]}
        assert len(differing) <= 1
        assert all(other[name] == value for name in differing)
    assert any(asdict(changed(what, value)) == base for value in DECODERS[what])


def test_rare_kinds_are_drawn_seldom_and_no_context_comes_twice() -> None:
    model = untrained(changed("vocabulary", 32), seed=0)
    source = drawn(model, seed=0)

    often = source.ids.tolist().count(0) / source.ids.tolist().count(len(source.names) - 1)
    assert often == pytest.approx(len(source.names), rel=0.1)
    assert model.config.decoder.d_vocab == 32


def test_ours_and_theirs_are_measured_with_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "LIVE", 8)
    monkeypatch.setattr(growth, "DECODERS", {"layers": (0, 2)})

    rows = list(of_decoders("layers", turns=1, events=2048, seed=0))

    assert [(row.dataset, row.method, row.measure) for row in rows] == [
        (f"layers_{value}", method, measure)
        for value in (0, 2)
        for method, measure in (
            ("offscript", "microseconds_per_event"),
            ("torch_incremental", "microseconds_per_event"),
            ("torch_incremental", "times_theirs"),
        )
    ]
    assert all(row.value > 0.0 for row in rows)


def test_threads_double_up_to_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "LIVE", 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})

    rows = list(of_threads(turns=1, events=2048, seed=0))

    assert [row.dataset for row in rows] == ["threads_1", "threads_2"]
    assert all(row.value > 0.0 for row in rows)


def test_the_figure_in_docs_is_that_of_the_results() -> None:
    figure = draw(read_results(FOLDER / "growth.json"))

    assert (HERE.parent / "docs" / "growth.svg").read_text(encoding="utf-8") == figure
    lines = ET.fromstring(figure).iter(f"{_SVG}polyline")
    assert len(list(lines)) == 2 * len(DECODERS) + 2
