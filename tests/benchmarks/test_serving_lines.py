"""The parser and drain3 are timed on the same lines."""

from __future__ import annotations

from pathlib import Path

from offscript.benchmarks.serving_lines import (
    learned,
    matched_per_second,
    parsed_per_second,
    texts_of,
)
from offscript.model.event import EventParser
from offscript.model.folder import load_model
from offscript.model.logs import read_lines


def test_drain3_matches_the_text_of_every_event_of_the_parser(
    tiny_model: Path, tiny_log: Path
) -> None:
    model = load_model(tiny_model)
    lines = list(read_lines([tiny_log]))[:2000]

    texts = texts_of(model, lines)
    tree = learned(texts)

    assert len(texts) == len(EventParser(model.config.events, model.templates).parse(lines).line)
    assert all(tree.match(text) for text in texts)
    assert parsed_per_second(model, lines) > 0.0
    assert matched_per_second(tree, texts) > 0.0
