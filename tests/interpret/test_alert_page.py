"""The page of one alert: whole, self-contained, and not to be broken by what a log says."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest

import offscript.interpret
from offscript.interpret.alert_page import alert_page
from offscript.interpret.explain import explain
from offscript.interpret.explanation import Explanation, Said, Similar
from offscript.interpret.markup import join, tag
from offscript.interpret.page import waterfall
from offscript.interpret.sentence import sentence
from offscript.interpret.text import text
from offscript.model.alert import Alert
from offscript.model.errors import InputError
from offscript.model.vocabulary import END, NEW, START
from offscript.model.weights import Weights

Make = Callable[..., SimpleNamespace]

SCHEMA = json.loads((Path(offscript.interpret.__file__).parent / "schema.json").read_text())
TOKENS = (START, *np.random.default_rng(7).integers(4, 12, size=30).tolist())
EVIL = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x1b[2J"
DETECTORS: dict[str, tuple[int, dict[str, Any]]] = {
    "event": (5, {}),
    "end": (END, {}),
    "new": (NEW, {"text": "an unseen line"}),
    "drift": (5, {"span": 99}),
    "level": (END, {"span": 31}),
    "stream": (END, {"scores": {"event": 5.0, "counts": 4.0}}),
    "counts": (END, {"counts": {4: 2, 7: 3}}),
}


class Page(HTMLParser):
    """The elements of a page in order, its text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def explained(make_random: Make, make_alert: Callable[..., Alert], detector: str) -> Explanation:
    model = make_random()
    model.count_vectors = np.eye(12, dtype=np.float32)[4:]
    observed, changes = DETECTORS[detector]
    return explain(model, make_alert((*TOKENS, observed), detector, **changes))


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detectors_page_is_whole_and_loads_nothing(
    make_random: Make, make_alert: Callable[..., Alert], detector: str
) -> None:
    explanation = explained(make_random, make_alert, detector)

    html = alert_page(explanation)

    page = Page(html)
    assert {"html", "main", "h1", "h2", "svg"} <= {name for name, _ in page.elements}
    assert not {"script", "img", "link", "iframe", "object", "a"} & {n for n, _ in page.elements}
    assert not re.search(r"\b(?:src|href|on\w+)=|url\(|@import|https?:", html)
    (policy,) = (m["content"] for m in page.named("meta") if "http-equiv" in m)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert " ".join(sentence(explanation)).replace("`", "") in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_page_is_read_out_in_order_and_every_figure_has_words(
    make_random: Make, make_alert: Callable[..., Alert], detector: str
) -> None:
    page = Page(alert_page(explained(make_random, make_alert, detector)))

    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(level <= before + 1 for before, level in itertools.pairwise(levels))
    figures = page.named("svg")
    told = [svg for svg in figures if svg.get("role") == "img"]
    assert len(told) + sum(svg.get("aria-hidden") == "true" for svg in figures) == len(figures)
    names = [name for name, _ in page.elements]
    assert names.count("desc") == len(told)
    assert names.count("caption") == names.count("table")


def test_what_a_log_says_stays_text(make_random: Make, make_alert: Callable[..., Alert]) -> None:
    model = make_random()
    names = [n if i < 4 else f"{EVIL} {i}" for i, n in enumerate(model.vocabulary.names)]
    model.vocabulary = type(model.vocabulary)(tuple(names), model.vocabulary.counts)
    alert = make_alert(
        (*TOKENS, 5), id=EVIL, model=EVIL, stream=EVIL, text=EVIL, lines=(EVIL,) * 32
    )

    page = Page(alert_page(explain(model, alert)))

    assert not {"script", "img"} & {name for name, _ in page.elements}
    assert len(page.named("style")) == 1
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_the_page_of_an_induction_shows_the_copied_event_and_its_check(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    alert = make_alert((START, 7, 5, 6, 8, 10, 7, 5, 9))

    page = Page(alert_page(explain(make_model(induction), alert)))

    assert "event 2" in page.text
    assert "5 events before (13:46:35, 5 s earlier)" in page.text
    assert "raw line 3" in page.text
    assert "check confirmed" in page.text
    assert "because of event 1 one before it, which L0H0 had brought there" in page.text
    assert next(path["class"] for path in page.named("path")) == "arc for"


def test_a_page_says_what_would_have_been_normal(
    make_model: Make, make_alert: Callable[..., Alert], induction: Weights
) -> None:
    alert = make_alert((START, 7, 5, 6, 8, 10, 7, 5, 9), limit=1.0)

    page = Page(alert_page(explain(make_model(induction), alert, later=(7, 5))))

    assert "It would have been normal" in page.text
    assert "instead" in page.text
    assert "The 2 events after it" in page.text


def test_a_page_shows_similar_alerts_with_what_was_said_of_them(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    said = (Said("normal", "a release", "ann", 1e9), Said("normal", EVIL, "", 1e9))
    other = Similar("b" * 32, "web-2", 1e9, 3, "normal", said)

    explanation = explained(make_random, make_alert, "event")
    page = Page(alert_page(replace(explanation, similar=(other,))))

    assert "bbbbbbbbbbbb2001-09-09 01:46:40 UTCweb-23normalann: a release; " in page.text
    assert not {"script", "img"} & {name for name, _ in page.elements}


def test_each_bar_of_a_waterfall_begins_where_the_last_one_ended() -> None:
    page = Page(waterfall("sum", [("a", 4.0), ("b", -1.0), ("c", 1.0)], ("Total", 4.0)))

    drawn = [svg for svg in page.named("rect") if svg["class"] != "ground"]
    spans = [(float(r["x"] or 0), float(r["x"] or 0) + float(r["width"] or 0)) for r in drawn]
    assert spans == [(0.0, 100.0), (75.0, 100.0), (75.0, 100.0), (0.0, 100.0)]
    assert [rect["class"] for rect in drawn] == ["for", "against", "for", "for"]


def test_only_markup_passes_unescaped() -> None:
    assert tag("b", "<i>", title='"') == '<b title="&quot;">&lt;i&gt;</b>'
    assert join([tag("b"), "&"], "<") == "<b></b>&lt;&amp;"
    assert tag("meta", name="a", content=None) == '<meta name="a">'


@pytest.mark.parametrize("detector", DETECTORS)
def test_an_explanation_comes_back_from_its_json(
    make_random: Make, make_alert: Callable[..., Alert], detector: str
) -> None:
    explanation = explained(make_random, make_alert, detector)
    value = json.loads(json.dumps({**explanation.to_json(), "added_later": 1}))

    assert Explanation.from_json(value) == explanation


@pytest.mark.parametrize("detector", DETECTORS)
def test_json_of_an_earlier_version_is_read_and_told(
    make_random: Make, make_alert: Callable[..., Alert], detector: str
) -> None:
    value = explained(make_random, make_alert, detector).to_json()
    for field in ("events", "at_hand", "unseen"):
        del value[field]
    for attribution in value["attributions"]:
        del attribution["nearest"]
        for evidence in attribution["evidence"]:
            del evidence["support"]

    earlier = Explanation.from_json(value)

    jsonschema.validate(value, SCHEMA)
    assert " ".join(sentence(earlier)) in " ".join(text(earlier).split())
    assert Page(alert_page(earlier)).named("svg")


def test_json_that_does_not_fit_is_refused_in_one_clear_line(
    make_random: Make, make_alert: Callable[..., Alert]
) -> None:
    value = explained(make_random, make_alert, "event").to_json()

    with pytest.raises(InputError, match="version 1, got 2"):
        Explanation.from_json({**value, "version": 2})
    with pytest.raises(InputError, match="expected str, got 5"):
        Explanation.from_json({**value, "stream": 5})
    with pytest.raises(InputError, match="does not fit the schema"):
        Explanation.from_json({"version": 1})
