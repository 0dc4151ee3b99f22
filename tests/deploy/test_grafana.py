"""The dashboard, by Prometheus's own judgement: what Grafana would ask it can be answered."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from offscript.service.metrics import Metrics
from offscript.tests.deploy.test_prometheus import program

FILE = Path(__file__).resolve().parent.parent.parent / "deploy" / "grafana" / "offscript.json"
_VALUES = {"$instance": ".*", "$model": ".*", "$__rate_interval": "1m"}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return value


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """All that it asks, with what Grafana puts in place of its variables."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [one["expr"] for one in dashboard["annotations"]["list"]]
    for name, value in _VALUES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def test_prometheus_understands_every_expression(dashboard: dict[str, Any], tmp_path: Path) -> None:
    asked = expressions(dashboard)
    rules = [{"record": f"panel:{at}", "expr": one} for at, one in enumerate(asked)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    run = subprocess.run(
        [program("promtool"), "check", "rules", path], capture_output=True, text=True, check=False
    )

    assert len(asked) >= 20
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(asked)} rules found" in run.stdout


def test_every_metric_is_one_that_the_service_has(dashboard: dict[str, Any]) -> None:
    exposed = Metrics().text().decode()
    names = set(re.findall(r"^# TYPE (\w+) ", exposed, re.MULTILINE))
    names |= {f"{name}_bucket" for name in names}
    wanted = [one["query"]["query"] for one in dashboard["templating"]["list"][1:]]

    for expression in (*expressions(dashboard), *wanted):
        used = set(re.findall(r"\boffscript_\w+", expression))
        assert used, expression
        assert used <= names, expression


def test_panels_have_names_of_their_own_and_lie_side_by_side(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    for what in ("id", "title"):
        values = [panel[what] for panel in dashboard["panels"]]
        assert len(set(values)) == len(values)
