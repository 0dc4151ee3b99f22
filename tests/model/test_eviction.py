"""Who makes room: whoever has most."""

from __future__ import annotations

import numpy as np
import pytest

from offscript.model.eviction import outlived


def test_those_of_one_sender_go_by_age() -> None:
    touched = np.array([5, 1, 4, 1, 2])

    evicted = outlived(touched, np.full(5, 7, np.uint32), 3)

    assert evicted.tolist() == [1, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_is_as_even_as_it_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    senders = rng.choice(6, size=500, p=[0.5, 0.3, 0.1, 0.05, 0.04, 0.01]).astype(np.uint32)
    touched = rng.integers(0, 100, size=500)

    evicted = outlived(touched, senders, 200)

    left = np.delete(np.arange(500), evicted)
    before, after = (np.bincount(senders[rows], minlength=6) for rows in (np.arange(500), left))
    lost = after < before
    assert len(set(evicted.tolist())) == 200
    assert after[lost].max() - after[lost].min() <= 1
    assert after[~lost].max() <= after[lost].max() + 1
    for sender in np.flatnonzero(lost):
        gone = touched[evicted][senders[evicted] == sender]
        assert gone.max() <= touched[left][senders[left] == sender].min()
