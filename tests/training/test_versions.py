"""Two models compared by the command, as a page."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from offscript import interpret
from offscript.cli import main


def test_two_models_are_compared_on_a_page(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, model = tmp_path / "diff.html", str(tiny_model)

    status = main(["card", model, "--diff", model, "--html", str(page)])

    assert (status, capsys.readouterr().out) == (0, f"page written to {page}\n")
    shown = page.read_text(encoding="utf-8")
    assert shown.startswith("<!doctype html>")
    assert "No rule of the direct path or of the heads differs by a bit" in shown
    assert "<code>L1H1 → L1H1</code>" in shown
    assert "<dt>Alerts before</dt>" in shown


def test_a_comparison_is_printed_as_its_schema_says(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_model)

    assert main(["card", model, "--diff", model, "--json"]) == 0

    schema = Path(interpret.__file__).parent / "diff_schema.json"
    value = json.loads(capsys.readouterr().out)
    jsonschema.validate(value, json.loads(schema.read_text(encoding="utf-8")))
    assert value["streams"]["judgements"]
