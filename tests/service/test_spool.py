"""Raw lines come back for the events that they came with, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from offscript.service.redaction import redact
from offscript.service.spool import Spool


def keep(spool: Spool, stream: str, *rows: tuple[float, str]) -> list[int]:
    times = np.array([time for time, _ in rows])
    positions = spool.append([stream] * len(rows), redact([line for _, line in rows]), times)
    return [int(position) for position in positions]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "lines", 1 << 20)


def test_the_lines_of_a_stream_come_back_in_order(spool: Spool) -> None:
    keep(spool, "a", (1.0, "one"), (2.0, "two"))
    keep(spool, "b", (2.0, "other"))
    keep(spool, "a", (3.0, "three"))

    assert spool.window("a", [1.0, 2.0, 3.0]) == ("one", "two", "three")
    assert spool.window("b", [2.0]) == ("other",)
    assert spool.window("c", [2.0]) == (None,)


def test_events_without_a_line_get_none(spool: Spool) -> None:
    keep(spool, "a", (1.0, "one"), (4.0, "four"))

    assert spool.window("a", [float("nan"), 1.0, 2.0, 4.0, 5.0]) == (
        None,
        "one",
        None,
        "four",
        None,
    )


def test_lines_are_found_by_times_as_a_detector_keeps_them(spool: Spool) -> None:
    rng = np.random.default_rng(0)
    gaps = rng.choice([0.0, 0.001, 0.123, 7.7, 3600.017], 60)
    times = 1.7e9 + np.round(np.cumsum(gaps), 6)
    keep(spool, "a", *((time, f"line {number}") for number, time in enumerate(times.tolist())))
    kept = np.diff(times, prepend=times[0]).astype(np.float32).astype(np.float64)
    told = times[-1] - np.append(np.cumsum(kept[:0:-1])[::-1], 0.0)

    assert spool.window("a", told.tolist()) == tuple(f"line {number}" for number in range(60))


def test_a_window_ends_at_its_position(spool: Spool) -> None:
    positions = keep(spool, "a", (1.0, "one"), (1.0, "two"), (1.0, "three"))

    assert spool.window("a", [1.0, 1.0], positions[1]) == ("one", "two")


def test_the_oldest_lines_go_when_the_spool_is_full(tmp_path: Path) -> None:
    size = 1 << 16
    spool = Spool(tmp_path / "lines", size)
    for number in range(5000):
        keep(spool, f"s{number % 7}", (float(number), f"line {number} " + "x" * 80))

    held = sum(path.stat().st_size for path in (tmp_path / "lines").iterdir())
    assert held <= size
    assert spool.window("s2", [4999.0 - 7 * 3]) == (None,)  # 4978 is a line of stream s1
    assert spool.window("s1", [4999.0 - 7 * 3])[0] is not None
    assert spool.window("s0", [0.0]) == (None,)


def test_lines_survive_a_restart_and_are_for_the_owner_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "lines", 1 << 20)
    keep(spool, "a", (1.0, "one"))
    spool.close()
    for path in (tmp_path / "lines").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600

    again = Spool(tmp_path / "lines", 1 << 20)
    keep(again, "a", (2.0, "two"))

    assert again.window("a", [1.0, 2.0]) == ("one", "two")


def test_after_a_crash_old_lines_are_given_up_rather_than_mixed_up(tmp_path: Path) -> None:
    keep(Spool(tmp_path / "lines", 1 << 20), "a", (1.0, "one"))

    again = Spool(tmp_path / "lines", 1 << 20)

    assert again.window("a", [1.0]) == (None,)
    assert len(list((tmp_path / "lines").iterdir())) == 1


def test_very_long_lines_are_cut(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "lines", 1 << 16)
    keep(spool, "a", (1.0, "x" * 100_000))

    (line,) = spool.window("a", [1.0])
    assert line == "x" * 1024


def test_lines_kept_together_come_back_as_those_kept_one_by_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    streams = [f"s{number}" for number in rng.integers(0, 50, 3000).tolist()]
    texts = [f"l\u00efne {number} " + "x" * (number % 97) for number in range(3000)]
    times = np.arange(3000.0)
    together, alone = (Spool(tmp_path / name, 1 << 18) for name in ("together", "alone"))

    positions = together.append(streams, redact(texts), times)
    singly = [
        alone.append([stream], redact([line]), times[at : at + 1])[0]
        for at, (stream, line) in enumerate(zip(streams, texts, strict=True))
    ]

    assert positions.tolist() == singly
    for stream in set(streams):
        own = [float(at) for at, name in enumerate(streams) if name == stream]
        window = together.window(stream, own)
        assert window == alone.window(stream, own)
        assert window[-1] == texts[int(own[-1])]


def test_what_the_disk_does_not_take_leaves_the_lines_before_to_be_found(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(spool, "a", (1.0, "one"))
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: 0)
        assert keep(spool, "a", (2.0, "two"), (3.0, "three")) == [-1, -1]
    keep(spool, "a", (4.0, "four"))

    assert spool.window("a", [1.0, 2.0, 3.0, 4.0]) == ("one", None, None, "four")


def test_lines_that_cannot_be_read_cost_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "lines", 1 << 16)
    for number in range(40):
        keep(spool, "s", (float(number), "x" * 1000))
    opened = os.open

    def none_left(path: os.PathLike[str], *rest: int) -> int:
        if "lines-" in str(path):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", none_left)
    times = [float(number) for number in range(20, 40)]
    lines = [spool.window("s", times) for _ in range(2)][1]

    assert lines[-1] is not None
    assert lines[0] is None
    assert caplog.text.count("raw lines cannot be read") == 1
