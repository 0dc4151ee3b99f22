"""Jobs done at the same time give what they give one after the other."""

from __future__ import annotations

import os

import pytest

from offscript.training.side_by_side import side_by_side


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def inverse(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("cores", [1, 2])
def test_results_come_in_the_order_of_the_jobs(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))

    results = side_by_side(square, [3, 1, 2], title="squares", quiet=True)

    assert [value for value, _ in results] == [9, 1, 4]
    assert all((process == os.getpid()) == (cores == 1) for _, process in results)


def test_what_goes_wrong_in_a_job_is_said() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(inverse, [1, 0], title="inverses", quiet=True)
