"""What the warehouse does: goods come in.

Two who book the same bins in opposite order end in a deadlock, and one of them begins again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from offscript.examples.postgres.backoffice import come_in
from offscript.examples.postgres.session import FIRST_HELPER, Session, Shop


class Meeting:
    """Where two bookings wait for each other, so that each holds what the other wants."""

    def __init__(self, bins: list[int]) -> None:
        self.bins = bins
        self._both = threading.Barrier(2)

    def wait(self, *, late: bool) -> None:
        """Returns once both are here; who is not late waits first, and so is the victim."""
        self._both.wait(timeout=30)
        if late:
            time.sleep(0.16)


def try_booking(
    s: Session, bins: list[int], meeting: Meeting | None = None, *, late: bool = False
) -> bool:
    """One transaction; False if it was rolled back because of a deadlock."""
    s.run("BEGIN")
    try:
        for place, number in enumerate(bins):
            if place == 1 and meeting is not None:
                meeting.wait(late=late)
            s.run("UPDATE bins SET quantity = quantity + 5 WHERE id = %s", number)
    except psycopg.errors.DeadlockDetected:
        s.run("ROLLBACK")
        return False
    s.run("INSERT INTO stock_moves (bin_id) VALUES (%s)", bins[0])
    s.run("COMMIT")
    return True


def own_bins(s: Session, number: int) -> list[int]:
    """Bins that no other session books at the same time."""
    count = 2
    while count < 8 and s.chance(0.5):
        count += 1
    first = number * 8 % 50000 + (50000 if number >= FIRST_HELPER else 0)
    return [1 + first + i for i in range(count)]


@contextmanager
def rival(shop: Shop, bins: list[int]) -> Iterator[Meeting]:
    """Another session that books the first two bins the other way round, meanwhile."""
    meeting = Meeting([bins[1], bins[0]])
    thread = threading.Thread(target=_rival, args=(shop, next(shop.helpers), meeting))
    thread.start()
    yield meeting
    thread.join()


def _rival(shop: Shop, number: int, meeting: Meeting) -> None:
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "warehouse")
        bins = meeting.bins + own_bins(s, number)[2:]
        if not try_booking(s, bins, meeting, late=True):
            try_booking(s, bins)


def restock(shop: Shop, number: int) -> None:
    """Goods come in; of two bookings that get into each other's way, one begins again."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "warehouse")
        bins = own_bins(s, number)
        if s.chance(0.25):
            with rival(shop, bins) as meeting:
                booked = try_booking(s, bins, meeting)
            if booked:
                return
        try_booking(s, bins)
