"""The options of the commands that read a model and edit it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_reading(card: argparse.ArgumentParser, forms: argparse._MutuallyExclusiveGroup) -> None:
    """What `offscript card` takes besides the usual forms: all tables, and a model to compare."""
    forms.add_argument(
        "--tables",
        type=Path,
        metavar="FILE",
        help="all circuits over all events as data, to load with NumPy (.npz)",
    )
    card.add_argument(
        "--diff",
        type=Path,
        metavar="OTHER",
        help="say instead what another model has learned that this one has not: rules, heads, and "
        "alerts",
    )
    _add_streams(card)


def add_editing(edit: argparse.ArgumentParser) -> None:
    """The options of `offscript edit`."""
    edit.add_argument("model", type=Path, metavar="MODEL")
    edit.add_argument("--out", type=Path, required=True, metavar="NEW", help="the folder to write")
    paths = edit.add_mutually_exclusive_group(required=True)
    paths.add_argument(
        "--head", metavar="HEAD", help="all that a head says of one context rather than another"
    )
    paths.add_argument(
        "--bigram",
        metavar="RULE",
        help="what the direct path says: 'last -> next', events by name or a part of it",
    )
    paths.add_argument(
        "--rule",
        metavar="RULE",
        help="what a head brings: 'L0H2: earlier -> next', or after one event alone: "
        "'L0H2: earlier … last -> next'",
    )
    edit.add_argument(
        "--by",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share that goes, above 0 and up to 1, which removes it (1)",
    )
    edit.add_argument(
        "--calibrate",
        nargs="+",
        type=Path,
        default=[],
        metavar="LOG",
        help="normal streams that the model did not learn from, to set its thresholds anew on; "
        "left out, they are kept",
    )
    _add_streams(edit)


def _add_streams(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--streams",
        nargs="+",
        type=Path,
        default=[],
        metavar="LOG",
        help="streams to look for alerts in; left out, the held-out windows that the model keeps",
    )
