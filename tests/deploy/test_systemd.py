"""The systemd unit, by systemd's own judgement."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from offscript.options import parser

UNIT = Path(__file__).resolve().parent.parent.parent / "deploy" / "offscript.service"


def analysed(*words: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    run = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/opt/offscript/bin/offscript", "/bin/true")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")

    assert analysed("verify", "--man=no", str(tmp_path / UNIT.name)) == ""


def test_the_settings_for_other_machines_are_understood_and_complete(tmp_path: Path) -> None:
    settings = UNIT.with_name("offscript.secured.conf").read_text(encoding="utf-8")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/offscript/bin/offscript", "/bin/true")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    (tmp_path / f"{UNIT.name}.d").mkdir()
    (tmp_path / f"{UNIT.name}.d" / "secured.conf").write_text(settings, encoding="utf-8")
    found = re.search(r'Environment="OFFSCRIPT_SECURITY=(.*)"', settings)
    assert found
    options = parser().parse_args(["serve", "model", *found[1].split()])

    assert analysed("verify", "--man=no", str(tmp_path / UNIT.name)) == ""
    assert "$OFFSCRIPT_SECURITY" in text
    for path in (options.tls_cert, options.tls_key, options.tokens):
        assert path.parent == Path("%d")
        assert f"LoadCredential={path.name}:" in settings


def test_the_service_is_kept_from_what_it_does_not_need() -> None:
    said = analysed("security", "--offline=true", "--no-pager", str(UNIT))

    assert "OK" in said.splitlines()[-1], said
