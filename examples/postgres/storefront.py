"""What visitors of the shop do, each visit on a connection of its own.

Every choice is made afresh, without counting how often it was made before, and no branch is rarer
than about 2 in 100 where it is taken: what is rare here is off the script.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from offscript.examples.postgres.session import Session, Shop

MISTYPED = (0.25, 0.45, 0.55)  # how likely the first, second and third password is wrong


@dataclass
class Visit:
    """Who visits, and what is in the cart."""

    customer: int
    cart: int
    downloads: bool  # buys files, else things that are in stock or not
    sold_out: float = 0.2  # how likely a thing in the cart is
    items: list[int] = field(default_factory=list)
    guest: int = 0  # 0: not registered as a guest
    logged_in: bool = False


def new_visit(s: Session) -> Visit:
    """Someone opens the shop's first page."""
    s.run("SET search_path TO shop")
    return Visit(
        customer=s.rng.randint(1, 3000),
        cart=s.rng.randint(10**7, 10**8 - 1),
        downloads=s.chance(0.35),
    )


def register_guest(s: Session, visit: Visit) -> None:
    """Goes on without an account."""
    token = f"g{s.rng.randint(10**7, 10**8 - 1)}"
    visit.guest = s.run("INSERT INTO guests (token) VALUES (%s) RETURNING id", token)[0][0]


def try_password(s: Session, visit: Visit, *, right: bool) -> None:
    """One attempt to log in, and the note that the shop makes of it."""
    secret = f"secret{visit.customer}" if right else f"wrong{s.rng.random()}"
    (_, matches), *_ = s.run(
        "SELECT id, password_hash = %s AS matches FROM customers WHERE email = %s",
        hashlib.md5(secret.encode(), usedforsecurity=False).hexdigest(),
        f"user{visit.customer}@example.com",
    )
    if matches:
        s.run(
            "INSERT INTO login_attempts (customer_id, succeeded) VALUES (%s, true)", visit.customer
        )
        s.run("UPDATE customers SET last_login = now() WHERE id = %s", visit.customer)
        visit.logged_in = True
    else:
        s.run(
            "INSERT INTO login_attempts (customer_id, succeeded) VALUES (%s, false)",
            visit.customer,
        )


def lock_account(s: Session, visit: Visit) -> None:
    """What the shop does after the third wrong password."""
    s.run(
        "UPDATE customers SET locked_until = now() + interval '15 minutes' WHERE id = %s",
        visit.customer,
    )


def log_in(s: Session, visit: Visit) -> None:
    """Up to three attempts; `visit.logged_in` says how they ended."""
    for mistyped in MISTYPED:
        try_password(s, visit, right=not s.chance(mistyped))
        if visit.logged_in:
            return
        if mistyped != MISTYPED[-1] and s.chance(0.25):
            look_around(s)
    lock_account(s, visit)


def look_around(s: Session) -> None:
    """Pages of products, without buying."""
    while True:
        view_category(s)
        while s.chance(0.4):
            view_product(s, s.rng.randint(1, 1500))
        if not s.chance(0.4):
            return


def view_category(s: Session) -> None:
    """The page of a category."""
    s.run(
        "SELECT id, name, price FROM products WHERE category_id = %s ORDER BY rating DESC LIMIT 20",
        s.rng.randint(1, 40),
    )


def view_product(s: Session, product: int) -> None:
    """The page of a product, some read on to its reviews."""
    s.run("SELECT name, price, description FROM products WHERE id = %s", product)
    if s.chance(0.3):
        s.run(
            "SELECT stars, body FROM reviews WHERE product_id = %s "
            "ORDER BY written_at DESC LIMIT 5",
            product,
        )


def browse(s: Session, visit: Visit) -> None:
    """Pages of products; some go into the cart."""
    while True:
        view_category(s)
        while True:
            product = pick(s, visit)
            view_product(s, product)
            if s.chance(0.4):
                put_in_cart(s, visit, product)
            if not s.chance(0.35):
                break
        if not s.chance(0.4):
            return


def pick(s: Session, visit: Visit) -> int:
    """A product of the kind that this visitor buys."""
    if visit.downloads:
        return s.rng.randint(1101, 1500)
    return s.rng.randint(1001, 1100) if s.chance(visit.sold_out) else s.rng.randint(1, 1000)


def put_in_cart(s: Session, visit: Visit, product: int) -> None:
    """One more in the cart."""
    s.run(
        "INSERT INTO cart_items (cart, product_id, quantity) VALUES (%s, %s, 1)",
        visit.cart,
        product,
    )
    visit.items.append(product)


def place_order(s: Session, visit: Visit, *, take_stock: bool = True) -> int | None:
    """The order's number; None if something was sold out and all was rolled back."""
    items = sorted(set(visit.items))
    s.run("BEGIN")
    if visit.downloads:
        s.run("SELECT product_id, url FROM downloads WHERE product_id = ANY(%s)", items)
    else:
        stock = s.run(
            "SELECT id, stock FROM products WHERE id = ANY(%s) ORDER BY id FOR UPDATE", items
        )
        if any(left < 1 for _, left in stock):
            s.run("ROLLBACK")
            return None
    order = int(
        s.run(
            "INSERT INTO orders (cart, total) VALUES (%s, %s) RETURNING id",
            visit.cart,
            s.rng.randint(500, 20000) / 100,
        )[0][0]
    )
    for item in items:
        s.run(
            "INSERT INTO order_lines (order_id, product_id, quantity) VALUES (%s, %s, 1)",
            order,
            item,
        )
    if not visit.downloads and take_stock:
        s.run("UPDATE products SET stock = stock - 1 WHERE id = ANY(%s)", items)
    s.run("DELETE FROM cart_items WHERE cart = %s", visit.cart)
    s.run("COMMIT")
    return order


def look_at_delivery(s: Session) -> None:
    """When and where it could arrive."""
    while True:
        page = s.rng.randrange(3)
        if page == 0:
            s.run(
                "SELECT name, price FROM delivery_options WHERE weight_class = %s",
                s.rng.randint(1, 9),
            )
        elif page == 1:
            s.run("SELECT name FROM pickup_points WHERE zip = %s", s.rng.randint(10000, 99999))
        else:
            s.run(
                "SELECT expected FROM delivery_dates WHERE product_id = %s", s.rng.randint(1, 1500)
            )
        if not s.chance(0.6):
            return


def give_card(s: Session, visit: Visit) -> None:
    """A guest types in a card for once; a customer has one on file."""
    if visit.guest:
        s.run(
            "INSERT INTO one_time_cards (guest_id, token) VALUES (%s, %s)",
            visit.guest,
            f"c{s.rng.randint(10**7, 10**8 - 1)}",
        )
    else:
        use_saved_card(s, visit.customer)


def use_saved_card(s: Session, customer: int) -> None:
    """A card on file."""
    s.run("SELECT token FROM saved_cards WHERE customer_id = %s", customer)


def pay(s: Session, order: int) -> None:
    """Until a payment is not declined."""
    while True:
        payment = s.run(
            "INSERT INTO payments (order_id, amount) VALUES (%s, %s) RETURNING id",
            order,
            s.rng.randint(500, 20000) / 100,
        )[0][0]
        if not s.chance(0.1):
            break
        s.run("UPDATE payments SET state = 'declined' WHERE id = %s", payment)
    s.run("UPDATE payments SET state = 'captured' WHERE id = %s", payment)
    s.run("UPDATE orders SET state = 'paid' WHERE id = %s", order)
    s.run("INSERT INTO mail_queue (order_id, kind) VALUES (%s, 'confirmation')", order)


def leave(s: Session, visit: Visit) -> None:
    """Logs out, or just goes, or falls asleep."""
    if s.chance(0.15):
        s.idle_out()
    elif s.chance(0.55):
        if visit.guest:
            s.run("DELETE FROM guests WHERE id = %s", visit.guest)
        elif visit.logged_in:
            s.run("UPDATE customers SET last_seen = now() WHERE id = %s", visit.customer)


def go_shopping(s: Session, visit: Visit) -> None:
    """From the first product to the door."""
    while True:
        browse(s, visit)
        if not visit.items or s.chance(0.3):
            break
        order = place_order(s, visit)
        look_at_delivery(s)
        if order is not None:
            give_card(s, visit)
            pay(s, order)
            break
        if not s.chance(0.4):
            break
        visit.items = [item for item in visit.items if not 1001 <= item <= 1100]
        s.run("DELETE FROM cart_items WHERE cart = %s AND product_id > 1000", visit.cart)
    leave(s, visit)


def guest_visit(shop: Shop, number: int) -> None:
    """A visit without an account."""
    with shop.session("web", "storefront", number) as s:
        visit = new_visit(s)
        register_guest(s, visit)
        go_shopping(s, visit)


def customer_visit(shop: Shop, number: int) -> None:
    """A visit with an account; three wrong passwords lock it, and nothing can be bought."""
    with shop.session("web", "storefront", number) as s:
        visit = new_visit(s)
        if s.chance(0.4):
            look_around(s)
        log_in(s, visit)
        if visit.logged_in:
            go_shopping(s, visit)
        else:
            look_around(s)
            leave(s, visit)
