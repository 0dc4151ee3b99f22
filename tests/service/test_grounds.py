"""What alerts rest on is known by name, and costs no more time than it may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.alert import Alert
from offscript.model.detector import Detector
from offscript.model.folder import Model, load_model
from offscript.model.vocabulary import NEW
from offscript.service import grounds, suppression
from offscript.service.grounds import Grounds, rests_on
from offscript.service.metrics import Metrics
from offscript.service.store import Store
from offscript.service.suppression import Wish
from offscript.tests.service.alerts import other


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def examined(model: Model, metrics: Metrics) -> Grounds:
    return Grounds(
        lambda alert: model if alert.model == model.sha256 else None, metrics.alerts_unexamined
    )


@pytest.fixture(scope="module")
def raised(model: Model) -> Callable[..., Alert]:
    """The alert of the last of some events, each named by a part of its template."""

    def alert(*parts: str) -> Alert:
        names = [next(name for name in model.vocabulary.names if part in name) for part in parts]
        detector, times = Detector(model), 1.8e9 + np.arange(len(names))
        found = detector.observe(["s"] * len(names), names, times, started={"s"}).findings
        (last,) = (one for one in found if one.detector == "event" and one.index == len(names) - 1)
        return detector.alert(last)

    return alert


def unexamined(metrics: Metrics) -> float:
    (metric,) = metrics.alerts_unexamined.collect()
    return next(s.value for s in metric.samples if s.name.endswith("_total"))


def test_alerts_of_one_kind_can_rest_on_different_events(
    model: Model, raised: Callable[..., Alert]
) -> None:
    early = raised("login ok", "standard cart", "chunk")
    late = raised("login ok", "standard cart", "page", "page", "chunk")

    for alert, first in ((early, "standard cart opened"), (late, "page <*> viewed in <*> ms")):
        found = rests_on(model, alert)
        assert found[0].endswith(first)
        assert set(found) <= {model.vocabulary.names[token] for token in alert.tokens[:-1]}
    assert early.mechanism == late.mechanism


def test_what_many_events_or_an_unknown_one_raised_rests_on_no_single_ones(
    model: Model, raised: Callable[..., Alert]
) -> None:
    alert = raised("full run", "chunk", "console closed")

    assert rests_on(model, replace(alert, detector="drift", span=3)) == ()
    unknown = replace(alert, observed="<new>", tokens=(*alert.tokens[:-1], NEW))
    assert rests_on(model, unknown) == ()
    short = replace(alert, tokens=(1,), times=(0.0,), lines=(None,))
    assert rests_on(model, short) == ()


def test_past_the_time_that_it_may_take_only_what_is_known_is_told(
    examined: Grounds,
    model: Model,
    metrics: Metrics,
    raised: Callable[..., Alert],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grounds, "_SHARE", 0.0)
    examined._left = 1e-6  # so that the first takes all
    first, second = raised("full run", "console closed"), raised("console opened", "full run")

    told = [examined.of(first), examined.of(second), examined.of(replace(first, stream="t"))]

    assert told == [rests_on(model, first), (), rests_on(model, first)]
    assert told[0]
    assert unexamined(metrics) == 1


def test_with_time_there_is_room_again(
    examined: Grounds, model: Model, raised: Callable[..., Alert]
) -> None:
    alert = raised("full run", "console closed")
    examined._left, examined._since = -1.0, examined._since - 60.0

    assert examined.of(alert) == rests_on(model, alert) != ()
    assert examined._left < grounds._BURST_SECONDS


def test_of_a_model_that_is_served_no_more_nothing_is_told(
    examined: Grounds, metrics: Metrics
) -> None:
    assert examined.of(other(1)) == ()
    assert unexamined(metrics) == 1


def test_a_model_that_cannot_explain_ends_no_thread(
    model: Model, raised: Callable[..., Alert], caplog: pytest.LogCaptureFixture
) -> None:
    words = model.vocabulary
    few = replace(words, names=words.names[:4], counts=words.counts[:4])
    broken = Grounds(lambda _: replace(model, vocabulary=few), Metrics().alerts_unexamined)

    assert broken.of(raised("full run", "console closed")) == ()
    assert "cannot be explained" in caplog.text


def test_no_more_windows_are_remembered_than_are_asked_for_again(
    examined: Grounds, raised: Callable[..., Alert], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grounds, "_KEPT", 2)
    for number in range(3):
        examined.of(raised("full run", *["chunk"] * number, "console closed"))

    assert len(examined._known) == 2


def test_of_what_is_open_only_what_rests_on_the_same_becomes_quiet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "_EXAMINED", 3)
    store.write([other(number) for number in range(6)])
    asked = []

    def of(alert: Alert) -> list[str]:
        asked.append(alert.id)
        return {"a3": ["p"], "a4": ["q"]}.get(alert.id, [])

    wish = Wish(everywhere=True, seconds=60.0, evidence=("p",))
    store.record("a1", "normal", "", "", wish, grounds=of)

    assert asked == ["a5", "a4", "a3"]
    statuses = {number: store.alert(f"a{number}").status for number in (0, 2, 3, 4, 5)}
    assert [number for number, status in statuses.items() if status == "suppressed"] == [3]
