"""Tests of a shard's state on its way to the store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offscript.service.arrays import Saved
from offscript.tests.service.engines import Service, raw

Lines = Callable[..., list[str]]


def test_a_service_killed_between_two_pieces_of_its_state_goes_on_from_either(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored piece by piece may hold a stream twice, or not yet; both must be taken up."""
    monkeypatch.setattr("offscript.model.streams.PART", 4)
    first = service.engine(checkpoint_seconds=0.0, max_streams=8)
    states = []
    for n in range(40):
        first.submit(raw(session(f"{n:04x}")[:3], client="me", seq=n + 1)).result(30)
        states.append(service.store.state("", 0))
    first.stop()

    for state in states[::5]:
        if not state:
            continue
        service.store.write([], [("", 0, Saved(state, {}, afresh=True))])
        second = service.engine(max_streams=8)
        for n in range(40, 60):
            second.submit(raw(session(f"{n:04x}")[:3])).result(30)
        second.stop()
    assert any(state for state in states)
    assert service.alerts() == []
