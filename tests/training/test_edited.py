"""An edited model: a version like any other, with the edit on record."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.interpret.card_page import card_page
from offscript.interpret.card_text import card_text
from offscript.interpret.edit import Wish
from offscript.interpret.explain import explain
from offscript.interpret.reading import read_model
from offscript.model.errors import BudgetError, ModelError
from offscript.model.folder import Model, load_model, save_model
from offscript.model.score import Totals, score_logs
from offscript.training.compare import compare, logged_streams
from offscript.training.edited import edited


def few_windows(path: Path) -> Model:
    """The model with a few of its windows, which are enough here."""
    model = load_model(path)
    lengths = model.reference["window_lengths"][:30]
    windows = model.reference["windows"][: int(lengths.sum())]
    kept = {"windows": windows, "window_lengths": lengths}
    return replace(model, reference={**model.reference, **kept})


@pytest.fixture(scope="module")
def version(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A version edited twice, as it is loaded from its folder."""
    folder = tmp_path_factory.mktemp("versions")
    once, _ = edited(few_windows(tiny_model), Wish("head", "L1H1", 0.5))
    twice, _ = edited(save_model(once, folder / "1"), Wish("rule", "L0H0: login ok -> logout user"))
    (head, skip) = next(
        (path.event, skip)
        for skip in read_model(twice).skips
        for path in skip.paths[:1]
        if "→" not in path.event
    )
    rule = f"{head}: {skip.earlier} … {skip.last} -> {skip.following}"
    thrice, _ = edited(save_model(twice, folder / "2"), Wish("rule", rule))
    return save_model(thrice, folder / "3")


def test_every_edit_is_on_record_and_on_the_card(version: Model, tiny_model: Path) -> None:
    card = read_model(version)

    paths = [(each.path, each.by) for each in card.edits]
    assert paths[:2] == [("L1H1", 0.5), ("L0H0", 1.0)]
    assert card.edits[0].parent == load_model(tiny_model).sha256
    assert card.edits[1].loss == pytest.approx(card.edits[0].measured, abs=1e-6)
    text = card_text(card)
    assert "Edited: L1H1 damped by 50 %" in text
    assert [each.last is None for each in card.edits] == [True, True, False]
    assert re.search("Edited: L[01]H[0-3], .* … .* → .*, removed", " ".join(text.split()))
    assert "the model was edited" in text
    assert "Edited: L1H1" in card_page(card)
    assert json.loads(json.dumps(card.to_json()))["edits"][1]["path"] == "L0H0"


def test_an_edited_model_scores_and_its_alerts_are_explained_exactly(
    version: Model, tmp_path: Path
) -> None:
    log = tmp_path / "odd.log"
    messages = ["backup: full run started", "admin: console closed", "backup: chunk 7 written"]
    log.write_text(
        "".join(f"2026-03-01 23:00:0{at}.000 session=bad {m}\n" for at, m in enumerate(messages))
    )

    alerts = list(score_logs(version, [log], totals=Totals()))

    assert {alert.stream for alert in alerts} == {"bad"}
    for alert in alerts[:5]:
        explanation = explain(version, alert)
        assert explanation.completeness_error <= 1e-9
        assert explanation.gap is None or abs(explanation.gap) < 1e-3


def test_what_derives_from_weights_is_made_anew_and_what_does_not_is_kept(
    version: Model, tiny_model: Path
) -> None:
    before = load_model(tiny_model)

    assert not np.array_equal(version.reference["means"], before.reference["means"])
    counted = ("last", "outcomes", "pairs", "pair_counts", "skips", "skip_counts", "contexts")
    for name in counted:
        assert np.array_equal(version.reference[name], before.reference[name])
    assert version.calibration == before.calibration
    assert "sensitivity" in before.summary
    assert "sensitivity" not in version.summary  # was that of other weights
    assert version.sha256 != before.sha256


@pytest.mark.slow
def test_thresholds_are_set_anew_on_normal_streams(tiny_model: Path, tiny_log: Path) -> None:
    model = few_windows(tiny_model)
    normal = logged_streams(model, [tiny_log])

    version, _ = edited(model, Wish("head", "L0H0"), normal)

    calibration = version.calibration
    assert calibration.whole.threshold != model.calibration.whole.threshold
    assert (calibration.budget, calibration.rate) == (
        model.calibration.budget,
        model.calibration.rate,
    )
    assert len(version.held["whole"]) <= len(normal)
    card = read_model(version)
    assert card.edits[0].calibrated == len(normal)
    assert card.noticed[0].streams == min(200, len(normal))
    shift = compare(model, version, [tiny_log])
    assert shift
    alerts = sum(each.alert_after for each in shift.judgements)
    assert alerts <= 2.0 + 5.0 * calibration.rate * len(normal)
    with pytest.raises(BudgetError, match="there are 5; give more"):
        edited(model, Wish("head", "L0H0"), normal[:5])


def test_an_edited_folder_that_is_damaged_is_refused(version: Model, tmp_path: Path) -> None:
    save_model(version, tmp_path / "model")
    file = tmp_path / "model" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    with pytest.raises(ModelError, match=r"weights.safetensors is damaged"):
        load_model(tmp_path / "model")
