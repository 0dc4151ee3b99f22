"""The HTTP port: metrics that Prometheus can read, and who is ready."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub
from offscript.tests.deploy.test_prometheus import program

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Lines = Callable[..., list[str]]


def test_metrics_parse_and_hold_no_stream(
    running: Running, stub: DetectorStub, session: Lines
) -> None:
    stub.ScoreOnce(pb.EventBatch(lines=[*session("secretkey", odd=True), "no key"]))
    with urllib.request.urlopen(f"{running.web}/metrics") as reply:
        text = reply.read().decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert "secretkey" not in text
    assert samples["offscript_events_total", "", "scored"] == 5
    assert samples["offscript_template_misses_total", ""] == 1
    assert sum(v for (name, *_), v in samples.items() if name == "offscript_alerts_total") >= 1
    assert samples["offscript_ready",] == 1
    assert samples["offscript_streams_active", "", "0"] == 1
    assert len(samples) < 300


def test_the_http_port_tells_who_is_ready(running: Running) -> None:
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(f"{running.web}{path}") as reply:
            assert reply.status == 200
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{running.web}/other")
    caught.value.close()


def test_prometheus_finds_no_fault_with_what_a_service_exports(
    running: Running, stub: DetectorStub, session: Lines
) -> None:
    stub.ScoreOnce(pb.EventBatch(lines=session("0a", odd=True)))
    with urllib.request.urlopen(f"{running.web}/metrics") as reply:
        page = reply.read()

    check = [program("promtool"), "check", "metrics"]
    run = subprocess.run(check, input=page, capture_output=True, check=False)

    assert (run.returncode, run.stdout + run.stderr) == (0, b"")
