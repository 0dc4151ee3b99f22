"""Event time goes with the events, and with the wall clock when there are none."""

from __future__ import annotations

import math

from offscript.service.clocks import Clocks


def test_nothing_heard_is_no_time() -> None:
    assert math.isnan(Clocks(60.0).now(1000.0))


def test_a_silent_clients_clock_goes_on_at_the_wall_clocks_pace() -> None:
    clocks = Clocks(60.0)
    clocks.heard("a", 100.0, wall=1000.0)

    assert clocks.now(1000.0) == 100.0
    assert clocks.now(1030.0) == 130.0
    assert clocks.now(2000.0) == 1100.0


def test_the_slowest_client_sets_the_time() -> None:
    clocks = Clocks(60.0)
    clocks.heard("replay", 100.0, wall=1000.0)
    clocks.heard("live", 1000.0, wall=1000.0)

    assert clocks.now(1001.0) == 101.0


def test_a_client_that_has_been_silent_for_the_idle_time_is_left_out() -> None:
    clocks = Clocks(60.0)
    clocks.heard("replay", 100.0, wall=1000.0)
    clocks.heard("live", 1061.0, wall=1061.0)

    assert clocks.now(1061.0) == 1061.0


def test_a_second_file_that_begins_earlier_sets_the_time_back() -> None:
    clocks = Clocks(60.0)
    clocks.heard("a", 500.0, wall=1000.0)
    clocks.heard("a", 100.0, wall=1001.0)

    assert clocks.now(1001.0) == 100.0


def test_an_event_from_the_future_does_not_move_the_time_there() -> None:
    clocks = Clocks(60.0)
    clocks.heard("a", 1e9, wall=1000.0)

    assert clocks.now(1000.0) == 1060.0


def test_after_a_restart_a_client_that_speaks_again_does_not_wait_for_its_old_time() -> None:
    before = Clocks(36_000.0)
    before.heard("replay", 100.0, wall=1e6)
    after = Clocks(36_000.0)
    after.restore(before.times(1e6 + 2.0), wall=1e6 + 10.0)

    assert after.now(1e6 + 11.0) == 102.0

    after.heard("replay", 90_000.0, wall=1e6 + 12.0)

    assert after.now(1e6 + 12.0) == 90_000.0


def test_after_a_restart_the_streams_of_a_client_that_has_not_come_back_do_not_end_early() -> None:
    before = Clocks(60.0)
    before.heard("replay", 100.0, wall=1000.0)
    before.heard("live", 1000.0, wall=1000.0)
    after = Clocks(60.0)
    after.restore(before.times(1000.0), wall=1010.0)
    after.heard("live", 1010.0, wall=1010.0)

    assert after.now(1010.0) == 100.0


def test_after_a_restart_time_stands_still_until_clients_have_had_time_to_return() -> None:
    after = Clocks(3.0)
    after.restore({"a": 100.0}, wall=1000.0)

    assert after.now(1060.0) == 100.0
    assert after.now(1061.0) == 101.0
