"""The code of docs/research.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import offscript.interpret

PAGE = Path(__file__).resolve().parents[2] / "docs" / "research.md"


def test_the_page_runs_from_top_to_bottom_on_a_model(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "model").symlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    exec(compile("\n".join(blocks), PAGE.name, "exec"), {})  # our own page

    said = capsys.readouterr().out
    assert "nats for" in said
    assert "resample" in said


def test_all_that_is_exported_is_there_and_told() -> None:
    page = PAGE.read_text(encoding="utf-8")

    for name in offscript.interpret.__all__:
        assert hasattr(offscript.interpret, name)
    for name in ("ablate", "patch", "run", "expand", "role_scores", "bigrams", "FactoredMatrix"):
        assert f"`{name}" in page or f"{name}(" in page
