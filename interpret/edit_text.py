"""An edit for the terminal: what it was to do, what it does, and what moved besides."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .edit import Edit, Moved
from .words import cut, percent, plain, signed

_NAME = 32  # characters of an event, of two …
_THIRD = 20  # … and of three


def edit_text(done: Edit, short: Mapping[str, str]) -> str:
    """At most 96 columns, values in bits; `short` are events' names as cards show them."""
    gone = "removed" if done.by == 1.0 else f"damped by {percent(done.by)}"
    path = "the direct path" if done.path == "direct" else done.path
    what = path if done.entry is None else f"one entry of {path}"
    lines = [f"{what} {gone}"]
    if done.entry is not None:
        lines.append(f"  {_cell(done.entry, short)}")
    lines.append(f"What a held-out event costs, bits, over {done.events:,} events")
    heads = "other heads" if done.entry is not None and done.entry.last is not None else "heads"
    lines.append(
        f"  {_loss(done.loss)} before, {_loss(done.predicted)} predicted ({heads} look where they "
        f"did), {_loss(done.measured)} measured"
    )
    if done.elsewhere is not None:
        where = "after the last event" if done.path == "direct" else "with the earlier event before"
        if done.entry is not None and done.entry.last is not None:
            where = "there"
        lines.append(
            f"  predictions move by {_loss(done.there)} bits {where}, {_loss(done.elsewhere)} "
            "elsewhere"
        )
    if done.aside:
        after = " after the last event" if done.aside[0].last is not None else ""
        lines.append(f"Other entries{after} that move most, by how often their events come, bits")
        lines += [f"  {_cell(each, short, table=f'{each.table:<10}  ')}" for each in done.aside]
    return "\n".join(map(cut, lines))


def _cell(moved: Moved, short: Mapping[str, str], *, table: str = "") -> str:
    cell = f"{signed(moved.before):>6} → {signed(moved.after):>5}"
    events = [moved.row, *([moved.last] if moved.last is not None else []), moved.column]
    width = _NAME if len(events) == 2 else _THIRD
    *before, column = (plain(short.get(name, name), width) for name in events)
    return f"{cell}  {table}{' … '.join(before)} → {column}"


def _loss(nats: float) -> str:
    return f"{nats / math.log(2.0):.4f}"
