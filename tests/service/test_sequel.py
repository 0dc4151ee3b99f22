"""What came after an alert is told from what its stream still holds, or not at all."""

from types import SimpleNamespace
from typing import cast

import pytest

from offscript.model.alert import Alert
from offscript.model.vocabulary import END, START
from offscript.service.sequel import sequel


def alert(tokens: tuple[int, ...], position: int) -> Alert:
    return cast(Alert, SimpleNamespace(tokens=tokens, position=position))


@pytest.mark.parametrize(
    ("tokens", "position", "length", "kept", "came"),
    [
        ((START, 5, 6), 2, 5, (START, 5, 6, 7, 8), (7, 8)),
        ((START, 5, 6), 2, 5, (6, 7, 8), (7, 8)),  # the ring holds no more
        ((4, 5, 6), 9, 11, (3, 4, 5, 6, 7), (7,)),
        ((START, 5, 6), 2, 3, (START, 5, 6), ()),  # nothing came
        ((START, 5, 6), 2, 9, (7, 8, 9), ()),  # what came right after is gone
        ((START, 5, 6), 2, 5, (START, 9, 6, 7, 8), ()),  # another stream of the same name
        ((START, 5, END), 1, 5, (START, 5, 6, 7, 8), ()),
        ((START, 5, 6), 2, 0, (), ()),
    ],
)
def test_later_events_are_those_after_the_alerts_own(
    tokens: tuple[int, ...], position: int, length: int, kept: tuple[int, ...], came: object
) -> None:
    assert sequel(alert(tokens, position), length, kept) == came
