"""The sentences of training's report, on what was read, what is budgeted, what lies far outside."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, islice

import numpy as np
from jaxtyping import Bool

from .budget import A_DAY, DEFAULT, FEW_BLOCKS, Budget, Size
from .corpus import Corpus
from .counted import counted
from .folds import Data

_SHOWN = 5  # keys in a sentence
_ROUNDED = 1.1  # times the smallest rate, at most, after rounding up to two digits


def what_is_budgeted(wish: Budget, rate: float, size: Size, unit: str, *, asked: bool) -> str:
    """The budget, and where nobody asked for it and it is not the usual one, why."""
    text = f"budget: {wish} ({rate:.2g} false alerts a {unit})"
    if asked or wish in (DEFAULT, A_DAY):
        return text
    if rate * (size.streams + 1) <= _ROUNDED:
        held = counted(size.streams, f"held-out {unit}")
        return f"{text}, the smallest that {held} can support"
    return f"{text}, for one {unit} in {1 / FEW_BLOCKS:.0f}"


def what_was_read(corpus: Corpus, lines: int) -> str:
    """Lines, events and streams, and the lines that are no events."""
    streams, events = counted(len(corpus), "stream"), counted(len(corpus.event), "event")
    text = f"read {counted(lines, 'line')}: {events} in {streams}"
    if corpus.unkeyed:
        text += f"; {counted(corpus.unkeyed, 'line')} without a stream key"
    if corpus.continuations:
        text += f"; {corpus.continuations:,} lines that go on with the record before"
    return text


def what_teaches_nothing(corpus: Corpus, lines: int) -> str:
    """A warning for logs most of whose lines have no stream key."""
    return (
        f"warning: {corpus.unkeyed:,} of {lines:,} lines have no stream key and teach nothing; "
        "give --stream-key in a form that more lines have, or leave it out"
    )


def what_was_set_apart(apart: Bool[np.ndarray, " streams"], unit: str) -> str:
    """How many streams set no threshold."""
    return (
        f"{apart.sum():,} of {len(apart):,} {unit}s lie far outside of what the others do, "
        "and set no threshold"
    )


def what_looks_like_a_habit(
    habit: Bool[np.ndarray, " streams"], keys: Sequence[str], unit: str
) -> str:
    """Streams that are far outside and yet many, for somebody to look at."""
    some = ", ".join(islice(compress(keys, habit), _SHOWN))
    such = f" (such as {some})" if some else ""
    return (
        f"{habit.sum():,} of {len(habit):,} {unit}s lie far outside of what the others do, most of "
        f"them in the same ways, and pass for a rare habit{such}: look at them, and "
        "train again with --exclude if they are no normals"
    )


def when_streams_end(data: Data) -> str:
    """How many ends were seen, and after how much silence service takes a stream for ended."""
    streams = data.streams
    if streams.endless:
        return f"one endless stream, scored in blocks of {streams.block_seconds:g} s"
    every = data.fit if data.folds else data.fit + data.held
    ended, total = sum(stream.ended for stream in every), len(every)
    text = f"{ended:,} of {total:,} streams end within the recording"
    if not ended:
        text += ": no end was seen"  # the idle time is longer than what could have been
    elif streams.idle_seconds > 0:
        text += (
            f"; in service a stream has ended after {_duration(streams.idle_seconds)} of silence"
        )
    if ended < 0.1 * total:
        text += " (give --complete if all of them do, or --idle SECONDS)"
    return text


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
