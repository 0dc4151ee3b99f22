"""What programs do: gift cards sold elsewhere, clean-up, upkeep, health checks, refused log-ins."""

from __future__ import annotations

import psycopg

from offscript.examples.postgres.session import Session, Shop


def gift_card_sale(shop: Shop, number: int) -> None:
    """A partner books on a gift card; some are overtaken by another, and begin again."""
    with shop.session("partner", "giftcards", number) as s:
        s.run("SET search_path TO shop")
        card = 1 + number % 20000
        if s.chance(0.25):
            try:
                _book(s, card, overtaken_by=shop)
            except psycopg.errors.SerializationFailure:
                s.run("ROLLBACK")
        _book(s, card)


def _book(s: Session, card: int, *, overtaken_by: Shop | None = None) -> None:
    s.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    s.run("SELECT balance FROM gift_cards WHERE id = %s", card)
    if overtaken_by is not None:
        with overtaken_by.session("partner", "giftcards", next(overtaken_by.helpers)) as other:
            other.run("SET search_path TO shop")
            _book(other, card)
    s.run("UPDATE gift_cards SET balance = balance - %s WHERE id = %s", s.rng.randint(5, 50), card)
    s.run("INSERT INTO gift_bookings (gift_card_id, amount) VALUES (%s, 10)", card)
    s.run("COMMIT")


def delete_clicks(s: Session, month: int) -> None:
    """Old clicks, in small steps."""
    while True:
        s.run("DELETE FROM clicks_%s WHERE id < %s", month, s.rng.randint(1, 1000))
        if not s.chance(0.85):
            return


def clean_up(shop: Shop, number: int) -> None:
    """Few clicks are deleted with the trace that a trigger leaves, many without it."""
    with shop.session("batch", "scheduler", number) as s:
        s.run("SET search_path TO shop")
        month = 1 + number % 12
        s.run("BEGIN")
        s.run("SELECT count(*) FROM clicks_%s", month)
        if s.chance(0.5):
            s.run("ALTER TABLE clicks_%s DISABLE TRIGGER audit", month)
            delete_clicks(s, month)
            s.run("ALTER TABLE clicks_%s ENABLE TRIGGER audit", month)
        else:
            delete_clicks(s, month)
        s.run("COMMIT")


def upkeep(shop: Shop, number: int) -> None:
    """Vacuum, and new statistics for the planner."""
    with shop.session("batch", "scheduler", number) as s:
        s.run("SET search_path TO shop")
        s.run("VACUUM cart_items")
        s.run("VACUUM guests")
        while s.chance(0.5):
            s.run("ANALYZE orders" if s.chance(0.5) else "ANALYZE payments")


def health_check(shop: Shop, number: int) -> None:
    """Is it there, and how busy?"""
    with shop.session("monitor", "healthcheck", number) as s:
        s.run("SELECT 1")
        s.run("SELECT count(*) FROM pg_stat_activity")


def mistyped_password(shop: Shop, number: int) -> None:
    """Staff who are not let in."""
    try:
        psycopg.connect(**shop.address("staff"), password=f"mistyped{number}").close()
    except psycopg.OperationalError:
        return
