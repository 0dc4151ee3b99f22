"""What an ablation costs says what a part is for."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.interpret.ablation import By, ablate
from offscript.interpret.roles import repeated_windows
from offscript.model.errors import InputError
from offscript.model.weights import Weights


@pytest.mark.parametrize("by", ["zero", "mean", "resample"])
def test_repeats_are_lost_without_either_head_of_an_induction_circuit(
    induction: Weights, by: By
) -> None:
    windows = repeated_windows(np.arange(4, 12), induction.window)

    for part in ("L0H0", "L1H0"):
        lost = ablate(induction, windows, part, by=by)
        assert lost.rise > 0.5
        assert lost.without == pytest.approx(lost.loss + lost.rise)
    assert ablate(induction, windows, "L1H1", by=by).rise == pytest.approx(0.0, abs=1e-9)


def test_only_the_path_that_carries_something_is_missed(induction: Weights) -> None:
    windows = repeated_windows(np.arange(4, 12), induction.window)

    by_keys = ablate(induction, windows, "L0H0", by="zero", into=["L1H0.K"])
    by_values = ablate(induction, windows, "L0H0", by="zero", into=["L1H0.V"])

    assert by_keys.rise == pytest.approx(ablate(induction, windows, "L0H0", by="zero").rise)
    assert by_values.rise == pytest.approx(0.0, abs=1e-9)


def test_draws_are_the_same_for_the_same_seed(induction: Weights) -> None:
    windows = repeated_windows(np.arange(4, 12), induction.window)

    one, two, other = (
        ablate(induction, windows, "L0H0", by="resample", seed=seed).without for seed in (0, 0, 1)
    )

    assert one == two != other


def test_a_part_that_is_not_there_is_named(induction: Weights) -> None:
    with pytest.raises(InputError, match="no part 'direct'; expected one of embed, L0H0"):
        ablate(induction, [np.array([1, 5, 6])], "direct", by="zero")


def test_without_windows_there_is_nothing_to_lose(induction: Weights) -> None:
    with pytest.raises(InputError, match="no windows to score"):
        ablate(induction, [], "L0H0", by="mean")
