"""What a training cannot do is said before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offscript.model.errors import InputError
from offscript.training.config import TrainConfig


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"idle_seconds": 0.0}, "a number of seconds above 0"),
        ({"idle_seconds": float("nan")}, "a number of seconds above 0"),
        ({"steps": 0}, "at least 1"),
        ({"seed": -1}, "must not be negative"),
        ({"layers": 1, "compare_layers": True}, "compared up to 2, and 1 is asked for"),
        ({"endless": True, "idle_seconds": 5.0}, "endless streams have no end"),
        ({"device": "abacus"}, "torch cannot compute on 'abacus'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_one_line(
    asked: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        TrainConfig((Path("a.log"),), Path("m"), **asked)

    assert "\n" not in str(caught.value)
