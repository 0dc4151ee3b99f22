"""What is secret at one place is taken out wherever lines are kept or told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offscript.cli import main
from offscript.model.errors import InputError
from offscript.protos import detector_pb2 as pb
from offscript.service.client import Client
from offscript.service.config import ServiceConfig
from offscript.service.own_patterns import read_patterns
from offscript.service.redaction import redact

if TYPE_CHECKING:
    from offscript.tests.service.conftest import InProcess


def test_own_patterns_take_out_their_group_or_all_that_they_match(tmp_path: Path) -> None:
    path = tmp_path / "patterns"
    path.write_text(
        "# one a line\n\npatient (\\d+)\n(?:card|badge) (?P<kind>\\w)-(?P<secret>\\d+)\n"
        "\\bIBAN \\w+\r\n(x1)?y2\n"
    )

    own = read_patterns(path)

    assert redact(["patient 17 has badge b-12", "to IBAN DE12, password=x", "y2 x1y2"], own) == [
        "patient <redacted> has badge b-<redacted>",
        "to <redacted>, password=<redacted>",
        "<redacted> <redacted>y2",
    ]
    assert redact(["patient 17"]) == ["patient 17"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"fine\n(\n", r"patterns, line 2: expected a regular expression, got '\('"),
        (b"\\d(\n", r"got '\\d\('"),
        (b"#\nx*\n", r"patterns, line 2: 'x\*' finds a secret in an empty line"),
        (b"\xff", r"patterns: expected UTF-8"),
        (None, r"cannot read the patterns of .*: No such file"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused_with_their_line(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "patterns"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=said):
        read_patterns(path)


def test_a_service_keeps_and_tells_nothing_that_its_own_patterns_find(
    config: ServiceConfig, in_process: InProcess, tmp_path: Path, session: Callable[..., list[str]]
) -> None:
    patterns = tmp_path / "patterns"
    patterns.write_text(r"from (10\.\S+)" + "\nstaff-\\d+\n")
    lines = [line.replace("replaced", "of staff-4711") for line in session("0a", odd=True)[:3]]
    named = pb.EventBatch(streams=["b"], stream_ix=[0], names=["staff-4711 left"], name_ix=[0])

    with (
        in_process(replace(config, redact=patterns)) as service,
        Client(service.address) as client,
    ):
        alert = client.score_once(pb.EventBatch(lines=lines)).alerts[0]
        other = client.score_once(named).alerts[0]

    assert alert.text.endswith("firmware of <redacted>, password=<redacted>")
    assert other.text == "<redacted> left"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"of <redacted>, password=<redacted>" in kept
    assert b"console opened from <redacted>" in kept
    assert b"staff-4711" not in kept
    assert b"10.0.1.7" not in kept


def test_a_service_does_not_start_with_a_pattern_that_is_wrong(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = tmp_path / "patterns"
    patterns.write_text("fine\n[\n")
    where = ["--store", f"sqlite:///{tmp_path}/alerts.db", "--grpc", "127.0.0.1:0"]

    status = main(["serve", str(tiny_model), "--redact", str(patterns), *where])

    assert status == 2
    said = f"offscript: {patterns}, line 2: expected a regular expression, got '[': "
    assert said in capsys.readouterr().err
