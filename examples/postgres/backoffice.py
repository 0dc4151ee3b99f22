"""What staff do: reports and exports, rights of colleagues, support of customers."""

from __future__ import annotations

from typing import LiteralString

import psycopg

from offscript.examples.postgres.session import Session, Shop

CHECKS: tuple[LiteralString, ...] = (
    "SELECT count(*), max(id) FROM customers",
    "SELECT count(*), max(id) FROM orders",
    "SELECT count(*), max(id) FROM payments",
    "SELECT count(*) FROM order_lines",
)
REPORTS: tuple[LiteralString, ...] = (
    """SELECT date_trunc('hour', placed_at) AS hour, count(*), sum(total)
    FROM orders
    WHERE placed_at > now() - interval '1 day'
    GROUP BY hour ORDER BY hour""",
    """SELECT state, count(*), sum(amount)
    FROM payments
    GROUP BY state ORDER BY state""",
    """SELECT product_id, sum(quantity) AS sold
    FROM order_lines
    GROUP BY product_id ORDER BY sold DESC LIMIT 20""",
)
EXPORTED: tuple[LiteralString, ...] = (
    "COPY customers TO STDOUT (FORMAT csv)",
    "COPY orders TO STDOUT (FORMAT csv)",
    "COPY payments TO STDOUT (FORMAT csv)",
)


def come_in(s: Session, role: LiteralString) -> None:
    """Staff share a login, and take a role after it."""
    s.run("SET search_path TO shop")
    s.run("SET ROLE " + role)


# Reports and exports: the same beginning, told apart by the role alone.


def open_snapshot(s: Session) -> None:
    """A consistent, read-only view of all tables, and checks that they are filled."""
    s.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for _ in range(2):
        s.run(s.rng.choice(CHECKS))
    while s.chance(0.8):
        s.run(s.rng.choice(CHECKS))


def report(shop: Shop, number: int) -> None:
    """An analyst's figures; history is asked for now and then, and takes too long."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "analyst")
        s.run("SET statement_timeout = '2s'")
        open_snapshot(s)
        while True:
            if s.chance(0.25):
                try:
                    s.run("SELECT day, total FROM remote_history ORDER BY day")
                except psycopg.errors.QueryCanceled:
                    s.run("ROLLBACK")
                    open_snapshot(s)
            s.run(s.rng.choice(REPORTS))
            if not s.chance(0.5):
                break
        s.run("COMMIT")


def export(shop: Shop, number: int) -> None:
    """The nightly export."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "exporter")
        s.run("SET statement_timeout = '2s'")
        open_snapshot(s)
        copy_tables(s)
        s.run("COMMIT")


def copy_tables(s: Session) -> None:
    """The tables that other systems need."""
    for table in EXPORTED:
        s.copy_out(table)


# Staff and their rights: support looks after telephone numbers, administrators after rights.


def look_up_staff(s: Session, agent: int) -> None:
    """Who somebody is and what they may do."""
    while True:
        if s.chance(0.5):
            s.run("SELECT login, team FROM staff WHERE id = %s", agent)
        else:
            s.run("SELECT granted, granted_at FROM staff_rights WHERE staff_id = %s", agent)
        if not s.chance(0.75):
            return


def grant(s: Session, agent: int) -> None:
    """Gives an agent the right to refund."""
    s.run("BEGIN")
    s.run("GRANT refunds TO " + _role(agent))
    s.run("INSERT INTO audit_trail (subject, subject_id) VALUES ('rights', %s)", agent)
    s.run("COMMIT")


def administrate(shop: Shop, number: int) -> None:
    """An administrator gives a right, takes it back, or lets an account end."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "dba")
        action = s.rng.random()
        agent = 5001 + next(shop.revocable) % 1000 if action < 0.25 else 1 + number % 1000
        look_up_staff(s, agent)
        if action >= 0.5:
            grant(s, agent)
            return
        s.run("BEGIN")
        if action < 0.25:
            s.run("REVOKE refunds FROM " + _role(agent))
        else:
            s.run("ALTER ROLE " + _role(agent) + " VALID UNTIL '2030-01-01'")
        s.run("INSERT INTO audit_trail (subject, subject_id) VALUES ('rights', %s)", agent)
        s.run("COMMIT")


def change_telephone(shop: Shop, number: int) -> None:
    """Support notes a colleague's new number."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "support")
        agent = 1 + number % 1000
        look_up_staff(s, agent)
        s.run("BEGIN")
        s.run("UPDATE staff SET phone = %s WHERE id = %s", telephone(s), agent)
        s.run("INSERT INTO audit_trail (subject, subject_id) VALUES ('contact', %s)", agent)
        s.run("COMMIT")


def _role(agent: int) -> LiteralString:
    digits: tuple[LiteralString, ...] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    name: LiteralString = "agent"
    for digit in str(agent):
        name += digits[int(digit)]
    return name


def telephone(s: Session) -> str:
    """Some number."""
    return f"555-{s.rng.randint(0, 9999):04}"


# Support: cases, of which some are refunded, and corrections of customers' data.


def look_into(s: Session, order: int, *, payment: bool) -> None:
    """What is known of a case; with or without the payment, at some place among the rest."""
    pages = s.rng.randint(1, 4)
    paid_at = s.rng.randrange(pages + 1) if payment else -1
    for place in range(pages + 1):
        if place == paid_at:
            s.run("SELECT id, amount, state FROM payments WHERE order_id = %s", order)
        if place == pages:
            break
        page = s.rng.randrange(3)
        if page == 0:
            s.run("SELECT product_id, quantity FROM order_lines WHERE order_id = %s", order)
        elif page == 1:
            s.run("SELECT carrier, sent_at FROM shipments WHERE order_id = %s", order)
        else:
            s.run("SELECT body FROM messages WHERE ticket_id = %s", order)


def take_case(s: Session) -> int:
    """The number of the order that a case is about."""
    number = s.rng.randint(1, 2000)
    s.run("SELECT customer_id, order_id, state FROM tickets WHERE id = %s", number)
    s.run("SELECT total, state FROM orders WHERE id = %s", number)
    return number


def refund(s: Session, order: int) -> None:
    """Money back."""
    s.run("BEGIN")
    s.run("INSERT INTO refunds (order_id, amount) VALUES (%s, %s)", order, s.rng.randint(5, 99))
    s.run("UPDATE payments SET state = 'refunded' WHERE order_id = %s", order)
    s.run("COMMIT")


def close_case(s: Session, order: int) -> None:
    """The end of a case."""
    s.run("UPDATE tickets SET state = 'closed' WHERE id = %s", order)


def answer_or_return_note(s: Session, order: int) -> None:
    """What is done where no money goes back: an answer, or a label to return the parcel."""
    if s.chance(0.6):
        s.run("INSERT INTO messages (ticket_id, body) VALUES (%s, 'answer')", order)
        return
    s.run("BEGIN")
    s.run("INSERT INTO shipments (order_id, carrier) VALUES (%s, 'return')", order)
    s.run("UPDATE orders SET state = 'returning' WHERE id = %s", order)
    s.run("COMMIT")


def support_cases(shop: Shop, number: int) -> None:
    """One case or several; nothing is refunded before its payment was looked up."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "support")
        while True:
            order = take_case(s)
            payment = s.chance(0.5)
            look_into(s, order, payment=payment)
            if payment and s.chance(0.75):
                refund(s, order)
            else:
                answer_or_return_note(s, order)
            close_case(s, order)
            if not s.chance(0.35):
                break


def change_customer(s: Session, customer: int) -> None:
    """Corrections of one customer's data, each with its trace."""
    while True:
        if s.chance(0.5):
            s.run("UPDATE customers SET phone = %s WHERE id = %s", telephone(s), customer)
        else:
            address = f"{s.rng.randint(1, 99)}/{s.rng.randint(10000, 99999)}"
            s.run("UPDATE customers SET address = %s WHERE id = %s", address, customer)
        s.run("INSERT INTO audit_trail (subject, subject_id) VALUES ('customer', %s)", customer)
        if not s.chance(0.7):
            return


def correct_customer(shop: Shop, number: int) -> None:
    """In one transaction, or one by one under a lock that ends with the session."""
    with shop.session("staff", "backoffice", number) as s:
        come_in(s, "support")
        customer = 1 + number % 3000
        s.run("SELECT phone, address FROM customers WHERE id = %s", customer)
        if s.chance(0.5):
            s.run("BEGIN")
            change_customer(s, customer)
            s.run("COMMIT")
        else:
            s.run("SELECT pg_advisory_lock(%s)", customer)
            change_customer(s, customer)
