"""What a person meets who opens a page: no request, no error, nothing cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offscript.interpret.alert_page import alert_page
from offscript.interpret.card_page import card_page
from offscript.interpret.diff import diff
from offscript.interpret.diff_page import diff_page
from offscript.interpret.explain import explain
from offscript.interpret.page import section
from offscript.interpret.reading import read_model
from offscript.model.alert import Alert
from offscript.model.folder import load_model
from offscript.model.vocabulary import START

EVIL = "<script>fetch('https://example.org')</script>\"><img src=https://example.org/x onerror=f()>"


def opens_well(browser: Any, page: Path, width: int, *, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)

    requests = [sent["request"]["url"] for sent in browser.reported("Network.requestWillBeSent")]
    assert requests == [page.as_uri()]
    assert not browser.reported("Log.entryAdded")
    assert not browser.reported("Runtime.exceptionThrown")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.querySelectorAll('script, img, a, link').length") == 0
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_an_alerts_page_opens_without_request_or_error_whatever_the_log_says(
    browser: Any,
    make_random: Callable[..., SimpleNamespace],
    make_alert: Callable[..., Alert],
    tmp_path: Path,
    width: int,
    dark: bool,
) -> None:
    model = make_random()
    names = [
        name if index < 4 else EVIL + name for index, name in enumerate(model.vocabulary.names)
    ]
    model.vocabulary = type(model.vocabulary)(tuple(names), model.vocabulary.counts)
    tokens = (START, *np.random.default_rng(0).integers(4, 12, size=40).tolist())
    fields: dict[str, Any] = {"lines": (EVIL,) * len(tokens), "stream": EVIL, "text": EVIL}
    page = tmp_path / "alert.html"
    page.write_text(alert_page(explain(model, make_alert(tokens, "drift", span=20, **fields))))

    opens_well(browser, page, width, dark=dark)

    assert "<script>" in browser.evaluate("document.body.innerText")
    assert browser.evaluate("document.querySelectorAll('details').length") == 3


@pytest.fixture(scope="module")
def models_page(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("page") / "card.html"
    page.write_text(card_page(read_model(load_model(tiny_model))))
    return page


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1200, False)])
def test_a_models_page_opens_without_request_or_error(
    browser: Any, models_page: Path, width: int, dark: bool
) -> None:
    opens_well(browser, models_page, width, dark=dark)

    unfold = "document.querySelectorAll('details').forEach(part => part.open = true)"
    browser.evaluate(unfold)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1200, True)])
def test_the_page_of_two_models_opens_without_request_or_error(
    browser: Any,
    make_kept: Callable[..., SimpleNamespace],
    make_random: Callable[..., SimpleNamespace],
    tmp_path: Path,
    width: int,
    dark: bool,
) -> None:
    models = [make_kept(make_random(seed=seed).weights) for seed in range(2)]
    names = models[1].vocabulary.names
    models[1].vocabulary = type(models[1].vocabulary)((*names[:-1], EVIL), (1,) * len(names))
    found = diff(*models)
    page = tmp_path / "diff.html"
    page.write_text(diff_page(found, section("Alerts")))

    opens_well(browser, page, width, dark=dark)

    assert browser.evaluate("document.querySelectorAll('tbody tr').length") == len(
        (*found.heads, *found.bigrams, *found.skips)
    )
    assert "<script>" in browser.evaluate("document.body.innerText")
