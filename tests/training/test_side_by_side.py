"""Jobs done at the same time give what they give one after the other."""

from __future__ import annotations

import math
import os

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
