"""Heads written by hand have the roles that they were written for."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.interpret.roles import (
    ROLES,
    repeated_windows,
    repeating,
    role,
    role_masks,
    role_scores,
)
from offscript.model.vocabulary import PAST, START
from offscript.model.weights import Weights


def test_a_previous_token_head_and_an_induction_head_are_recognised(induction: Weights) -> None:
    windows = repeated_windows(np.arange(4, 12), induction.window)

    scores, shares = role_scores(induction, windows)

    by_name = [dict(zip(ROLES, head, strict=True)) for head in scores.tolist()]
    assert by_name[0]["previous"] == pytest.approx(1.0, abs=1e-6)
    assert by_name[2]["induction"] == pytest.approx(1.0, abs=1e-6)
    assert [role(*head) for head in zip(scores, shares, strict=True)] == [
        "previous",
        "mixed",
        "induction",
        "mixed",
    ]


def test_induction_looks_at_what_followed_and_duplicate_at_the_same_event() -> None:
    masks = role_masks(np.array([PAST, 5, 6, 5]))

    assert np.argwhere(masks["induction"]).tolist() == [[3, 2]]
    assert np.argwhere(masks["duplicate"]).tolist() == [[3, 1]]
    assert np.argwhere(masks["previous"]).tolist() == [[1, 0], [2, 1], [3, 2]]
    assert np.argwhere(masks["beginning"]).tolist() == [[1, 0], [2, 0], [3, 0]]


def test_a_role_that_no_position_could_show_is_unknown(induction: Weights) -> None:
    scores, _ = role_scores(induction, [np.array([START, 5, 6, 7])])

    assert np.isnan(scores[:, ROLES.index("induction")]).all()
    assert not np.isnan(scores[:, ROLES.index("rest")]).any()


def test_windows_repeat_only_what_repeats_in_real_ones() -> None:
    kinds = repeating([np.array([START, 5, 6, 5]), np.array([START, 7, 8, 8, 9])])

    assert kinds.tolist() == [5, 8]
    for window in repeated_windows(kinds, 64):
        assert window[0] == PAST
        assert sorted(window[1:3].tolist()) == [5, 8]
        np.testing.assert_array_equal(window[1:3], window[3:])
    assert repeated_windows(kinds[:1], 64) == []
