"""The scripts run anywhere, and the versions that they install fit what the package asks for."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted([*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"])


def pinned() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


def test_every_dependency_is_pinned_to_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    pins = pinned()

    for requirement in map(Requirement, chain(project["dependencies"], extras)):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in constraints.txt"
        assert pins[name] in requirement.specifier, f"{name} {pins[name]} is not {requirement}"


def test_every_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = text.partition("\ndependencies = [\n")[2].partition("\n]")[0].splitlines()

    assert lines
    for line in lines:
        assert re.fullmatch(r'  "[^"]+", +# .+', line), f"no reason: {line}"


def test_no_registry_is_named_so_that_a_mirror_keeps_working() -> None:
    for path in [*SCRIPTS, ROOT / "constraints.txt", ROOT / "pyproject.toml"]:
        text = path.read_text(encoding="utf-8")

        assert not re.search(r"--(extra-)?index-url|--find-links|pypi\.org|pythonhosted", text), (
            path
        )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_executable_says_what_it_does_and_parses(script: Path) -> None:
    first, second = script.read_text(encoding="utf-8").splitlines()[:2]
    shell = "bash" if "bash" in first else "sh"

    assert os.access(script, os.X_OK)
    assert first.startswith("#!")
    assert second.startswith("# ")
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_missing_servers_are_named_and_an_error_only_in_ci(
    ci: str, status: int, tmp_path: Path
) -> None:
    for name in ("sh", "ls"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n", encoding="utf-8")
    (tmp_path / "id").chmod(0o755)

    run = subprocess.run(
        [ROOT / "scripts" / "servers"],
        env={"PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == status
    assert "prometheus" in run.stderr
    assert "nodejs" in run.stderr
