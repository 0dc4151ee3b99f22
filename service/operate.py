"""The commands of who keeps a service: logs, verdicts, suppressions, models, the audit trail."""

from __future__ import annotations

import argparse
import signal
import sys

from ..model.errors import InputError
from ..protos import detector_pb2 as pb
from .client import Client
from .credentials import credentials_of
from .listing import as_json, deed_line, seconds, suppression_line
from .send import Sent, send


def send_logs(options: argparse.Namespace) -> int:
    """Send logs, and say what came of it; 1 if lines were dropped."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    def progress(sent: Sent) -> None:
        if sys.stderr.isatty():
            print(f"\r{sent.events:,} events, {sent.alerts:,} alerts", end="", file=sys.stderr)

    before = signal.signal(signal.SIGTERM, end)  # as Ctrl-C does: what was read is still sent
    try:
        sent = send(
            options.logs,
            options.to,
            model=options.model,
            credentials=credentials_of(options),
            follow=options.follow,
            position=options.position,
            drop_seconds=options.drop_after,
            progress=progress,
            say=lambda line: print(f"offscript: {line}", file=sys.stderr),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(
        f"sent {sent.lines:,} lines: {sent.events:,} events scored, {sent.alerts:,} alerts; "
        f"{sent.unkeyed:,} lines without a stream key, {sent.broken:,} broken, "
        f"{sent.continuations:,} that go on with the record before",
    )
    if sent.dropped:
        print(
            f"offscript: {sent.dropped:,} lines were dropped or not acknowledged", file=sys.stderr
        )
    if sent.interrupted:
        return 130
    return 1 if sent.dropped else 0


def feedback(options: argparse.Namespace) -> int:
    """Record a verdict, and suppress what it is about if asked to."""
    with Client(options.to, credentials=credentials_of(options)) as client:
        recorded = client.feedback(
            options.alert,
            options.verdict,
            comment=options.comment,
            by=options.by,
            suppress=_wish(options),
        )
    print(f"recorded: {recorded.alert.id} is {options.verdict}")
    if recorded.HasField("suppression"):
        print(f"suppressed: {suppression_line(recorded.suppression)}")
    return 0


def suppressions(options: argparse.Namespace) -> int:
    """List what is kept quiet, or end one of it."""
    with Client(options.to, credentials=credentials_of(options)) as client:
        found = [client.revoke(options.revoke)] if options.revoke else client.suppressions()
    for suppression in found:
        print(as_json(suppression) if options.json else suppression_line(suppression))
    return 0


def reload(options: argparse.Namespace) -> int:
    """Have another model served."""
    with Client(options.to, credentials=credentials_of(options)) as client:
        done = client.reload(options.model, model=options.name)
    if done.sha256 == done.before:
        print(f"unchanged: model {done.sha256[:12]} is served already")
    else:
        print(
            f"serving model {done.sha256[:12]} in place of {done.before[:12]}, tried on the last "
            f"{done.tried:,} events: {done.carried:,} streams go on, {done.left:,} count as joined "
            "in the middle"
        )
    return 0


def audit(options: argparse.Namespace) -> int:
    """List who did what."""
    since = seconds(options.since) if options.since else None
    with Client(options.to, credentials=credentials_of(options)) as client:
        for number, deed in enumerate(client.deeds(since=since)):
            if number == options.most:
                print(f"… more; see all with --most {10 * options.most}", file=sys.stderr)
                break
            print(as_json(deed) if options.json else deed_line(deed))
    return 0


def _wish(options: argparse.Namespace) -> pb.Wish | None:
    if options.suppress is None:
        return None
    if not 0.0 < options.days <= 3660.0:
        raise InputError(f"expected --days above 0 and at most 3660, got {options.days:g}")
    length = max(1, round(options.days * 86_400))
    return pb.Wish(everywhere=options.suppress == "everywhere", seconds=length)
