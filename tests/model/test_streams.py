"""The state of more streams than fit: who is forgotten, and who is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offscript.model.detector import Detector
from offscript.model.errors import InputError
from offscript.model.folder import Model, load_model
from offscript.model.snapshot import without_doubles
from offscript.model.vocabulary import START


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def test_the_longest_silent_streams_are_forgotten_and_return_joined_in_the_middle(
    model: Model,
) -> None:
    detector = Detector(model, max_streams=8)
    name = model.vocabulary.names[-1]
    for number in range(9):
        detector.observe([str(number)], [name], np.array([float(number)]), started={str(number)})

    returned = detector.observe(["0"], [name], np.array([20.0]))

    assert len(detector) <= 8
    assert detector.joined(["0"]).tolist() == [True]
    assert returned.evicted >= 0
    assert detector.joined(["8"]).tolist() == [False]


def test_the_last_tokens_of_a_stream_are_kept_in_order(model: Model) -> None:
    detector, names = Detector(model), model.vocabulary.names
    tokens = [4 + number % (len(names) - 4) for number in range(200)]

    detector.observe(["a"] * 3, [names[t] for t in tokens[:3]], np.arange(3.0), started={"a"})
    young = detector.recent("a")
    detector.observe(["a"] * 197, [names[t] for t in tokens[3:]], np.arange(3.0, 200.0))

    assert young == (4, (START, *tokens[:3]))
    assert detector.recent("a") == (201, tuple(tokens[-192:]))
    assert detector.recent("b") == (0, ())


def test_no_stream_of_a_batch_makes_room_for_another_of_it(model: Model) -> None:
    name = model.vocabulary.names[-1]
    detector, alone = Detector(model, max_streams=2), Detector(model)
    for each in (detector, alone):
        each.observe(["old"], [name], np.array([0.0]), started={"old"})
    detector.observe(["newer"], [name], np.array([1.0]), started={"newer"})

    seen = detector.observe(["old", "newest", "old"], [name] * 3, np.full(3, 2.0))

    assert sorted(detector.known()) == ["newest", "old"]
    expected = alone.observe(["old", "old"], [name] * 2, np.full(2, 2.0))
    np.testing.assert_array_equal(seen.surprisal[[0, 2]], expected.surprisal)


def test_a_batch_with_more_streams_than_are_kept_is_refused(model: Model) -> None:
    detector = Detector(model, max_streams=4)

    with pytest.raises(InputError, match="4 streams"):
        detector.observe([str(i) for i in range(5)], ["x"] * 5, np.zeros(5))


def test_a_stream_in_parts_of_two_moments_is_taken_up_as_it_was_last(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.model.streams.PART", 1)
    detector = Detector(model, max_streams=8)
    name = model.vocabulary.names[-1]
    for number in range(8):
        detector.observe([str(number)], [name], np.array([float(number)]), started={str(number)})
    early = detector.part(0)
    detector.observe(["8"], [name], np.array([9.0]))  # "0" is forgotten
    detector.observe(["0", "0"], [name, name], np.array([10.0, 11.0]))
    late = [detector.part(number) for number in range(1, 8)]
    mixed = {key: np.concatenate([part[key] for part in (early, *late)]) for key in early}

    whole = without_doubles(mixed)
    after = Detector(model, max_streams=8)
    after.restore({**whole, "clock": detector.clock()})

    assert sorted(after.known()) == ["0", "2", "3", "4", "5", "6", "7"]
    assert after.recent("0")[0] == 3
    assert without_doubles(whole) is whole


def test_nobody_loses_a_stream_to_a_sender_that_has_more(model: Model) -> None:
    detector, name = Detector(model, max_streams=64), model.vocabulary.names[-1]
    few = [f"few {number}" for number in range(8)]
    detector.observe(few, [name] * 8, np.zeros(8), started=set(few), sender=1)
    for number in range(1000):
        key = f"many {number}"
        detector.observe([key], [name], np.array([1.0 + number]), started={key}, sender=2)

    known = set(detector.known())

    assert known >= set(few)
    assert "many 999" in known
    assert "many 900" not in known


def test_of_streams_of_even_senders_the_longest_silent_are_forgotten(model: Model) -> None:
    detector, name = Detector(model, max_streams=16), model.vocabulary.names[-1]
    for number in range(17):
        key = str(number)
        observed = detector.observe([key], [name], np.array([number * 1.0]), sender=1 + number % 2)

    assert observed.evicted == 2
    assert set(detector.known()) == {str(number) for number in range(2, 17)}


def test_a_stream_is_of_who_began_it_and_a_restored_one_of_who_sends_first(model: Model) -> None:
    detector, name = Detector(model, max_streams=16), model.vocabulary.names[-1]
    detector.observe(["old"], [name], np.zeros(1), sender=1)
    later = Detector(model, max_streams=16)
    later.restore({**detector.part(0), "clock": detector.clock()})
    restored = later._streams.senders[0]

    for sender in (7, 8):
        for each in (detector, later):
            each.observe(["old"], [name], np.zeros(1), sender=sender)

    assert (restored, detector._streams.senders[0], later._streams.senders[0]) == (0, 1, 7)


def test_of_more_streams_than_are_kept_the_longest_silent_are_not_taken_up(model: Model) -> None:
    many = Detector(model, max_streams=600)
    name = model.vocabulary.names[-1]
    for begin in (0, 300):
        keys = [f"s{number}" for number in range(begin, begin + 300)]
        many.observe(keys, [name] * 300, np.arange(300.0) + begin, started=set(keys))
    parts = [many.part(number) for number in many.stale()]
    saved = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    few = Detector(model, max_streams=64, known_bytes=0)
    few.restore({**saved, "clock": many.clock()})

    assert len(few) == 64
    assert all(int(key[1:]) >= 300 for key in few.known())
    ended, _ = few.end_some_idle(np.array([1e9]), 128)  # each needs a place in the live cache
    assert len(ended.surprisal) == 64
