"""Event time goes with a sender's events, and with the wall clock when there are none."""

from __future__ import annotations

import math

from offscript.service.clocks import MOST, Clocks


def now(clocks: Clocks, wall: float, sender: str = "a") -> float:
    return float(clocks.now(wall)[clocks.numbers[sender]])


def test_who_was_never_heard_has_no_time() -> None:
    clocks = Clocks()
    clocks.heard({"a": math.nan}, wall=1000.0)

    assert math.isnan(now(clocks, 1000.0))
    assert math.isnan(clocks.now(1000.0)[2])


def test_a_silent_senders_clock_goes_on_at_the_wall_clocks_pace() -> None:
    clocks = Clocks()
    clocks.heard({"a": 100.0}, wall=1000.0)

    assert now(clocks, 1000.0) == 100.0
    assert now(clocks, 1030.0) == 130.0
    assert now(clocks, 2000.0) == 1100.0


def test_no_sender_sets_the_time_of_another() -> None:
    clocks = Clocks()
    clocks.heard({"replay": 100.0, "live": 1000.0}, wall=1000.0)
    clocks.heard({"ahead": 1e9}, wall=1000.0)

    assert now(clocks, 1001.0, "replay") == 101.0
    assert now(clocks, 1001.0, "live") == 1001.0


def test_a_second_file_that_begins_earlier_sets_the_time_back() -> None:
    clocks = Clocks()
    clocks.heard({"a": 500.0}, wall=1000.0)
    clocks.heard({"a": 100.0}, wall=1001.0)

    assert now(clocks, 1001.0) == 100.0
    for second in range(100):
        clocks.heard({"a": 100.0 + second}, wall=1001.0 + second)

    assert now(clocks, 4600.0) == 3699.0, "the first file's time counts no more"


def test_an_old_log_beside_a_live_one_of_the_same_sender_sets_the_time_while_it_comes() -> None:
    clocks = Clocks()
    for second in range(100):
        clocks.heard({"a": 1e6 + second}, wall=1e6 + second)
        clocks.heard({"a": 100.0 + 10.0 * second}, wall=1e6 + second)
        assert now(clocks, 1e6 + second) == 100.0 + 10.0 * second
    clocks.heard({"a": 1e6 + 100.0}, wall=1e6 + 100.0)
    assert now(clocks, 1e6 + 100.0) == 1091.0
    clocks.heard({"a": 1e6 + 200.0}, wall=1e6 + 200.0)

    assert now(clocks, 1e6 + 200.0) == 1e6 + 200.0


def test_of_too_many_senders_those_silent_for_longest_are_forgotten() -> None:
    clocks = Clocks()
    gone = [clocks.heard({f"s{n}": 100.0, "steady": 100.0}, wall=1000.0) for n in range(MOST)]

    assert len(clocks.numbers) <= MOST
    assert [len(each) for each in gone if each] == [MOST // 8]
    assert "steady" in clocks.numbers
    assert "s0" not in clocks.numbers
    assert f"s{MOST - 1}" in clocks.numbers
    assert len(set(clocks.numbers.values())) == len(clocks.numbers)
    assert clocks.now(1234.0)[0] == 1234.0, "what is left of them goes by the wall clock"


def test_after_a_restart_a_sender_that_speaks_again_does_not_wait_for_its_old_time() -> None:
    before = Clocks()
    before.heard({"a": 100.0}, wall=1e6)
    after = Clocks()
    after.restore(before.times(1e6 + 2.0), before.numbers, wall=1e6 + 10.0)

    assert now(after, 1e6 + 11.0) == 102.0

    after.heard({"a": 90_000.0}, wall=1e6 + 12.0)

    assert now(after, 1e6 + 12.0) == 90_000.0


def test_after_a_restart_time_stands_still_until_senders_have_had_time_to_return() -> None:
    after = Clocks()
    after.restore({"a": 100.0}, {"a": 7}, wall=1000.0)
    after.heard({"b": 900.0}, wall=1000.0)

    assert now(after, 1060.0) == 100.0
    assert now(after, 1061.0) == 101.0
    assert after.numbers == {"a": 7, "b": 1}
