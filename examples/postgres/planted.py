"""The planted sessions: the shop's own steps, one of them where it does not belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from offscript.examples.postgres import backoffice, jobs, storefront, warehouse
from offscript.examples.postgres.session import END, Session, Shop


@dataclass(frozen=True)
class Planted:
    """What one planted session said, and which of it was wrong because of what."""

    kind: str
    what: str
    backend: int  # process id of the server's side
    opened: float  # unix seconds
    history: tuple[str, ...]
    wrong: int  # place in the history
    cause: int | None  # place in the history; None if nothing that was said is to blame

    @classmethod
    def of(cls, s: Session, kind: str, what: str, wrong: int, cause: int | None) -> Planted:
        return cls(kind, what, s.backend, s.opened, tuple(s.history), wrong, cause)


def dump_by_analyst(shop: Shop, number: int) -> Planted:
    """Tables copied out by a role that only makes reports."""
    with shop.session("staff", "backoffice", number) as s:
        backoffice.come_in(s, "analyst")
        s.run("SET statement_timeout = '2s'")
        backoffice.open_snapshot(s)
        backoffice.copy_tables(s)
        s.run("COMMIT")
    what = "An analyst copies whole tables out, as only the export does."
    return Planted.of(s, "dump_by_analyst", what, s.first("COPY"), s.first("SET ROLE"))


def grant_by_support(shop: Shop, number: int) -> Planted:
    """A right given by a role that administers nothing."""
    with shop.session("staff", "backoffice", number) as s:
        backoffice.come_in(s, "support")
        agent = 1 + number % 1000
        backoffice.look_up_staff(s, agent)
        backoffice.grant(s, agent)
    what = "Support gives a colleague the right to refund, as only administrators do."
    return Planted.of(s, "grant_by_support", what, s.first("GRANT"), s.first("SET ROLE"))


def guessed_password(shop: Shop, number: int) -> Planted:
    """A locked account used after all."""
    with shop.session("web", "storefront", number) as s:
        visit = storefront.new_visit(s)
        if s.chance(0.4):
            storefront.look_around(s)
        for _ in range(3):
            storefront.try_password(s, visit, right=False)
        storefront.lock_account(s, visit)
        locked = len(s.history) - 1
        storefront.look_around(s)
        storefront.try_password(s, visit, right=True)
        storefront.go_shopping(s, visit)
    what = "After three wrong passwords locked the account, a fourth is tried and lets them in."
    wrong = s.first("SELECT id, password_hash", locked)
    return Planted.of(s, "guessed_password", what, wrong, locked)


def card_of_another(shop: Shop, number: int) -> Planted:
    """A guest pays with a customer's card."""
    with shop.session("web", "storefront", number) as s:
        visit = storefront.new_visit(s)
        storefront.register_guest(s, visit)
        order = _order(s, visit)
        storefront.look_at_delivery(s)
        storefront.use_saved_card(s, visit.customer)
        storefront.pay(s, order)
        storefront.leave(s, visit)
    what = "A guest pays with a card that a customer has on file."
    wrong = s.first("SELECT token FROM saved_cards")
    return Planted.of(s, "card_of_another", what, wrong, s.first("INSERT INTO guests"))


def paid_without_order(shop: Shop, number: int) -> Planted:
    """Payment for an order that was rolled back."""
    with shop.session("web", "storefront", number) as s:
        visit = storefront.new_visit(s)
        _register_or_log_in(s, visit)
        visit.downloads = False
        storefront.browse(s, visit)
        sold_out = s.rng.randint(1001, 1100)
        storefront.view_product(s, sold_out)
        storefront.put_in_cart(s, visit, sold_out)
        storefront.place_order(s, visit)
        rolled_back = s.last("ROLLBACK")
        storefront.look_at_delivery(s)
        card = len(s.history)
        storefront.give_card(s, visit)
        storefront.pay(s, s.rng.randint(1, 2000))
        storefront.leave(s, visit)
    what = "An order is paid although it was rolled back, as something was sold out."
    return Planted.of(s, "paid_without_order", what, card, rolled_back)


def stock_not_taken(shop: Shop, number: int) -> Planted:
    """An order that takes nothing from the stock."""
    with shop.session("web", "storefront", number) as s:
        visit = storefront.new_visit(s)
        _register_or_log_in(s, visit)
        visit.downloads = False
        order = _order(s, visit, take_stock=False)
        storefront.look_at_delivery(s)
        storefront.give_card(s, visit)
        storefront.pay(s, order)
        storefront.leave(s, visit)
    what = "Goods are ordered, and the stock is not reduced, as is right for downloads only."
    cause = s.first("SELECT id, stock FROM products")
    wrong = s.first("DELETE FROM cart_items", cause)
    return Planted.of(s, "stock_not_taken", what, wrong, cause)


def sql_injection(shop: Shop, number: int) -> Planted:
    """Password hashes read through the page of a product."""
    with shop.session("web", "storefront", number) as s:
        visit = storefront.new_visit(s)
        _register_or_log_in(s, visit)
        storefront.browse(s, visit)
        injected = len(s.history)
        s.run(
            "SELECT name, price, description FROM products WHERE id = %s "
            "UNION SELECT email, 0, password_hash FROM customers",
            s.rng.randint(1, 1500),
        )
        storefront.browse(s, visit)
    what = "The page of a product is made to list the customers' password hashes."
    return Planted.of(s, "sql_injection", what, injected, None)


def refund_unchecked(shop: Shop, number: int) -> Planted:
    """A refund without a look at the payment."""
    with shop.session("staff", "backoffice", number) as s:
        backoffice.come_in(s, "support")
        order = backoffice.take_case(s)
        backoffice.look_into(s, order, payment=False)
        backoffice.refund(s, order)
        backoffice.close_case(s, order)
    what = "Money is refunded without the payment having been looked up."
    return Planted.of(s, "refund_unchecked", what, s.first("INSERT INTO refunds"), None)


def abandoned_transaction(shop: Shop, number: int) -> Planted:
    """A session that ends within a transaction, which undoes its work."""
    with shop.session("staff", "backoffice", number) as s:
        backoffice.come_in(s, "support")
        customer = 1 + number % 3000
        s.run("SELECT phone, address FROM customers WHERE id = %s", customer)
        s.run("BEGIN")
        backoffice.change_customer(s, customer)
    what = "The session ends without the COMMIT of its transaction, so its changes are lost."
    return Planted.of(s, "abandoned_transaction", what, s.first(END), s.first("BEGIN"))


def audit_left_off(shop: Shop, number: int) -> Planted:
    """An audit trigger switched off for good."""
    with shop.session("batch", "scheduler", number) as s:
        s.run("SET search_path TO shop")
        month = 1 + number % 12
        s.run("BEGIN")
        s.run("SELECT count(*) FROM clicks_%s", month)
        s.run("ALTER TABLE clicks_%s DISABLE TRIGGER audit", month)
        jobs.delete_clicks(s, month)
        s.run("COMMIT")
    what = "The audit trigger is switched off for a clean-up, and not switched on again."
    return Planted.of(s, "audit_left_off", what, s.first("COMMIT"), s.first("ALTER TABLE"))


def deadlock_storm(shop: Shop, number: int) -> Planted:
    """One booking that meets deadlock after deadlock."""
    with shop.session("staff", "backoffice", number) as s:
        backoffice.come_in(s, "warehouse")
        bins = warehouse.own_bins(s, number)
        storm = s.rng.randint(3, 5)
        while s.history.count("ERROR") < storm:
            with warehouse.rival(shop, bins) as meeting:
                warehouse.try_booking(s, bins, meeting)
        warehouse.try_booking(s, bins)
    what = "A booking ends in a deadlock again and again; the first retry should have succeeded."
    second = s.first("ERROR", s.first("ERROR"))
    return Planted.of(s, "deadlock_storm", what, second, None)


def _register_or_log_in(s: Session, visit: storefront.Visit) -> None:
    if s.chance(0.5):
        storefront.register_guest(s, visit)
    else:
        storefront.try_password(s, visit, right=True)


def _order(s: Session, visit: storefront.Visit, *, take_stock: bool = True) -> int:
    """The number of an order in which nothing is sold out."""
    visit.sold_out = 0.0
    while not visit.items:
        storefront.browse(s, visit)
    order = storefront.place_order(s, visit, take_stock=take_stock)
    assert order is not None, "something in stock was sold out"
    return order


KINDS: tuple[Callable[[Shop, int], Planted], ...] = (
    dump_by_analyst,
    grant_by_support,
    guessed_password,
    card_of_another,
    paid_without_order,
    stock_not_taken,
    sql_injection,
    refund_unchecked,
    abandoned_transaction,
    audit_left_off,
    deadlock_storm,
)
