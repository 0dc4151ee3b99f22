"""Jobs done at the same time give what they give one after the other."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offscript.training.side_by_side import side_by_side


@pytest.mark.parametrize("cores", [1, 2])
def test_results_come_in_the_order_of_the_jobs(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))

    # Functions that every process knows: it may not find this file.
    roots = side_by_side(math.sqrt, [9.0, 1.0, 4.0], title="roots", quiet=True)
    processes = side_by_side(os.readlink, ["/proc/self"] * 3, title="processes", quiet=True)

    assert roots == [3.0, 1.0, 2.0]
    assert all((int(process) == os.getpid()) == (cores == 1) for process in processes)


def test_what_goes_wrong_in_a_job_is_said() -> None:
    with pytest.raises(ValueError, match="math domain"):
        side_by_side(math.sqrt, [1.0, -1.0], title="roots", quiet=True)


def test_workers_end_with_the_process_that_began_them() -> None:
    with _begun() as (process, workers):
        process.kill()
        process.wait()

        assert _gone(workers)


@pytest.mark.parametrize("to_all", [True, False])
def test_an_interrupt_ends_all_at_once_and_nothing_is_left_behind(to_all: bool) -> None:
    with _begun() as (process, workers):
        time.sleep(1.0)  # for both to be at work
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)

        assert said.splitlines()[-1] == "KeyboardInterrupt"
        assert "leaked" not in said
        assert "SpawnProcess" not in said
        assert _gone(workers)


@contextmanager
def _begun() -> Iterator[tuple[subprocess.Popen[str], set[Path]]]:
    """A process with two workers that have something to do for ten minutes, and the workers."""
    program = (
        "import os, time\n"
        "os.sched_getaffinity = lambda _: {0, 1}\n"
        "from tqdm import tqdm\n"
        "from offscript.training.side_by_side import side_by_side\n"
        "def fit(seconds):\n"
        "    tqdm([], disable=True)\n"
        "    time.sleep(seconds)\n"
        "workers = side_by_side(os.readlink, ['/proc/self'] * 2, title='', quiet=True)\n"
        "print(*workers, flush=True)\n"
        "side_by_side(fit, [600.0] * 2, title='', quiet=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        workers = {Path("/proc") / number for number in process.stdout.readline().split()}
        assert len(workers) > 0
        assert all(map(_runs, workers))
        try:
            yield process, workers
        finally:
            process.kill()


def _gone(workers: set[Path]) -> bool:
    deadline = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(_runs, workers))


def _runs(process: Path) -> bool:
    """Whether a process is there and no zombie, which waits for its parent alone."""
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
