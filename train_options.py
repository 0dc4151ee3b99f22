"""The options of `offscript train`; beside the others, as serving loads nothing of training."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_training(train: argparse.ArgumentParser) -> None:
    """All but the logs."""
    train.add_argument(
        "--out", type=Path, required=True, metavar="MODEL", help="the folder to write"
    )
    train.add_argument(
        "--from",
        dest="before",
        type=Path,
        metavar="MODEL",
        help="read logs and set thresholds as for this model, and say what the new one changes",
    )
    train.add_argument(
        "--stream-key",
        metavar="KEY",
        help="what tells streams apart: a regular expression (group 1, else the whole match) for "
        "text, a field for JSON; 'auto' proposes one; left out, the log is one endless stream",
    )
    train.add_argument(
        "--budget",
        help="acceptable false alerts: '5/day', '10/million events', '1/1000 streams' (default, of "
        "endless logs '1/day'; more where the data support no less, or unknown events would raise "
        "no alerts)",
    )
    train.add_argument(
        "--exclude",
        type=Path,
        metavar="FILE",
        help="streams to leave out: known incidents, streams kept for testing; a key a line (of a "
        "CSV the first column), or JSON objects as of offscript alerts --json and in MODEL.oddest, "
        "but those with the label 0",
    )
    train.add_argument(
        "--normal",
        type=Path,
        metavar="FILE",
        help="streams that are normal however far outside of what the others do; as for --exclude, "
        "but those with the label 1",
    )
    train.add_argument(
        "--keep-outliers",
        action="store_true",
        help="streams far outside of what the others do are normal, too: set none apart",
    )
    train.add_argument(
        "--complete",
        action="store_true",
        help="every stream begins and ends within "
        "these logs; otherwise only those that fall silent have ended",
    )
    train.add_argument(
        "--idle",
        type=float,
        metavar="SECONDS",
        help="silence after which a stream "
        "has ended; learned from the pauses in the logs if left out",
    )
    train.add_argument(
        "--endless",
        action="store_true",
        help="streams have a key but no end, as hosts have; score them in blocks of time",
    )
    train.add_argument(
        "--newest",
        action="store_true",
        help="calibrate on the newest streams alone; else on ones drawn at random or, where these "
        "are too few, on all, in folds",
    )
    train.add_argument(
        "--format", choices=("text", "json", "sequences"), help="found out if left out"
    )
    train.add_argument("--event", metavar="FIELD[,FIELD]", help="JSON: fields that name the event")
    train.add_argument("--message", metavar="FIELD", help="JSON: a field with a raw line instead")
    train.add_argument("--time", metavar="FIELD", help="JSON: the field of the time")
    train.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="REGEX",
        help="what matches is a variable of the line, whatever its form; may be given repeatedly",
    )
    train.add_argument("--preset", choices=("tiny", "small"), default="tiny", help="size (tiny)")
    train.add_argument("--layers", type=int, choices=(0, 1, 2), help="layers of attention (2)")
    train.add_argument(
        "--compare-layers",
        action="store_true",
        help="fit a decoder of one layer too, for the card to say what each layer buys; takes "
        "about half as long again",
    )
    train.add_argument(
        "--steps", type=int, metavar="N", help="end the training after so many steps"
    )
    train.add_argument("--seed", type=int, default=0, help="for everything random (0)")
    train.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
