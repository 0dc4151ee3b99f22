"""The axes in signatures are checked at every call, also at those like one that has passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import beartype
import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float64, TypeCheckError

Array = np.ndarray
T = TypeVar("T")
two, three = np.zeros(2), np.zeros(3)
length = {"of the result": 3}


def checked(what: T) -> T:
    """As the hook has it done to modules."""
    done: Any = jaxtyping.jaxtyped(typechecker=beartype.beartype)
    found: T = done(what)
    return found


@checked
def added(a: Float64[Array, "n"], b: Float64[Array, "n"]) -> Float64[Array, "n"]:
    return np.resize(a + b.sum(), length["of the result"])


@checked
def zeros(count: int) -> Float64[Array, "{count}"]:
    return np.zeros(4)


@checked
def first(arrays: list[Float64[Array, "n"]]) -> Float64[Array, "n"]:
    return arrays[0]


@checked
@dataclass(frozen=True)
class Pair:
    a: Float64[Array, "n"]
    b: Float64[Array, "n"]


@pytest.mark.parametrize(
    ("called", "good", "bad"),
    [
        (added, (three, three), (three, two)),
        (added, (three, three), (three, three.astype(np.float32))),
        (added, (three, three), (three, three[None])),
        (added, (three, three), (three, 3.0)),
        (zeros, (4,), (5,)),
        (first, ([three],), ([3],)),
        (Pair, (two, two), (two, three)),
    ],
)
def test_after_good_calls_a_bad_one_is_seen(called: Any, good: Any, bad: Any) -> None:
    for _ in range(3):
        called(*good)

    with pytest.raises(TypeCheckError):
        called(*bad)


def test_after_good_results_a_bad_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        added(three, three)

    monkeypatch.setitem(length, "of the result", 2)
    for _ in range(2):
        with pytest.raises(TypeCheckError):
            added(three, three)
