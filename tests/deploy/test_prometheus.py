"""The rules and the scrape configuration, by Prometheus's own judgement and on a live service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from offscript.service.metrics import Metrics
from offscript.service.tokens import add_token
from offscript.tests.ports import kept_address
from offscript.tests.service.certificates import Authority

FOLDER = Path(__file__).resolve().parent.parent.parent / "deploy" / "prometheus"
RULES = FOLDER / "offscript.rules.yml"


def program(name: str) -> str:
    """Where a program of Prometheus's lies; skips without it, but fails in CI."""
    found = shutil.which(name)
    if found is None:
        text = f"{name} is not here; scripts/servers says how to get it"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_prometheus_finds_no_fault_with_rules_and_configuration() -> None:
    promtool = program("promtool")

    for words in (
        ("check", "rules", str(RULES)),
        ("check", "config", f"{FOLDER}/prometheus.yml"),
        ("check", "config", "--syntax-only", f"{FOLDER}/prometheus.secured.yml"),
    ):
        run = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
def test_every_alert_fires_when_it_should_and_stays_silent_when_all_is_well() -> None:
    run = subprocess.run(
        [program("promtool"), "test", "rules", FOLDER / "offscript.rules.test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_has_a_test_a_severity_and_says_what_to_do() -> None:
    tested = (FOLDER / "offscript.rules.test.yml").read_text(encoding="utf-8")
    alerts = [rule for rule in rules() if "alert" in rule]

    assert alerts
    for rule in alerts:
        assert rule["alert"] in tested
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_every_metric_that_a_rule_reads_is_one_that_the_service_has() -> None:
    exposed = Metrics().text().decode()
    names = set(re.findall(r"^# TYPE (\w+) ", exposed, re.MULTILINE))
    names |= {f"{name}_bucket" for name in names}

    for rule in rules():
        used = set(re.findall(r"\boffscript_\w+", rule["expr"]))
        assert used <= names, rule["expr"]


@pytest.fixture(
    params=["prometheus.yml", pytest.param("prometheus.secured.yml", marks=pytest.mark.slow)]
)
def configuration(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(configuration: str, tiny_model: Path, tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of the /metrics of a live service that fits the configuration."""
    words = ["serve", str(tiny_model), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    if "secured" in configuration:
        authority = Authority(tmp_path, "ca")
        cert, key = authority.issue("offscript")
        shutil.copy(authority.cert, tmp_path / "ca.pem")
        secret = add_token(tmp_path / "tokens", "prometheus", ["read"])
        (tmp_path / "prometheus.token").write_text(f"{secret}\n", encoding="utf-8")
        files = {"--tls-cert": cert, "--tls-key": key, "--tokens": tmp_path / "tokens"}
        words += [str(word) for pair in files.items() for word in pair]
    store = f"sqlite:///{tmp_path}/alerts.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "offscript.cli", *words, "--store", store],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = next((line for line in process.stderr if "offscript: serving" in line), "")
    found = re.search(r"https?://(\S+)/metrics", said)
    assert found, f"it said {said!r}"
    yield found[1]
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture
def prometheus(configuration: str, service: str, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that runs the configuration of deploy/ on the live service."""
    config = yaml.safe_load((FOLDER / configuration).read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [service]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copy(RULES, tmp_path)
    with kept_address() as address:  # Prometheus does not tell its port
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address={address}",
            ],
            stderr=subprocess.DEVNULL,
        )
        yield f"http://{address}"
        process.terminate()
        process.wait(60)


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers; waits until it knows anything."""
    url = f"{prometheus}/api/v1/query?{urlencode({'query': expression})}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except OSError:  # not listening yet
            result = []
        if result:
            return result
        time.sleep(0.2)
    pytest.fail(f"Prometheus has no answer to {expression}")


def test_prometheus_scrapes_a_live_service_and_raises_no_alert(
    prometheus: str, service: str
) -> None:
    up = query(prometheus, 'up{job="offscript"} == 1')  # a scrape may take too long once
    ready = query(prometheus, "offscript_ready")
    recorded = query(prometheus, "offscript:alerts:increase1h")
    alerts = query(prometheus, 'count(ALERTS{alertstate="firing"}) or vector(0)')

    assert [sample["metric"]["instance"] for sample in up] == [service]
    assert [sample["value"][1] for sample in ready] == ["1"]
    assert [sample["value"][1] for sample in recorded] == ["0"]
    assert [sample["value"][1] for sample in alerts] == ["0"]
