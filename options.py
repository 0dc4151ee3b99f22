"""The options of the `offscript` command."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .interpret.options import add_editing, add_reading
from .model.alert import DETECTORS
from .service.options import ADDRESS, add_serving
from .train_options import add_training

_LOGS = "text, JSON lines or sequences; plain, .gz, .bz2 or .xz; - is standard input"


def parser() -> argparse.ArgumentParser:
    """All commands with their options and examples; `command` names the one that was given."""
    top = argparse.ArgumentParser(
        prog="offscript",
        description="Learns the script that event streams follow, and says the moment one goes off "
        "it: what happened, what should have happened instead, and which earlier events say so.",
    )
    commands = top.add_subparsers(
        dest="command", title="commands", metavar="COMMAND", required=True
    )

    def command(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: {example}",
        )

    def to(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--to", default=ADDRESS, metavar="HOST:PORT", help=f"the service ({ADDRESS})"
        )
        added.add_argument(
            "--ca",
            type=Path,
            metavar="FILE",
            help="speak TLS, with a service that an authority of this file vouches for (PEM)",
        )
        added.add_argument(
            "--cert", type=Path, metavar="FILE", help="own certificate, if the service wants one"
        )
        added.add_argument("--key", type=Path, metavar="FILE", help="its key")
        added.add_argument(
            "--token-file",
            type=Path,
            metavar="FILE",
            help="holds the token that the service wants; else OFFSCRIPT_TOKEN has it",
        )

    def form(added: argparse.ArgumentParser, schema: str) -> argparse._MutuallyExclusiveGroup:
        forms = added.add_mutually_exclusive_group()
        forms.add_argument("--json", action="store_true", help=f"as JSON; {schema} describes it")
        forms.add_argument(
            "--html",
            type=Path,
            metavar="FILE",
            help="as a page with figures: one file that loads nothing, to keep or to send",
        )
        forms.add_argument(
            "--figures",
            type=Path,
            metavar="DIR",
            help="every figure by itself, as SVG and PNG, to put into documents",
        )
        return forms

    def logs(added: argparse.ArgumentParser) -> None:
        added.add_argument("logs", nargs="+", type=Path, metavar="LOGS", help=_LOGS)

    train = command(
        "train",
        "learn from normal logs and write a model folder",
        r"offscript train hdfs.log.xz --out hdfs --stream-key 'blk_-?\d+' --complete",
    )
    logs(train)
    add_training(train)

    evaluate = command(
        "evaluate",
        "measure a model against labelled streams, beside simple baselines",
        "offscript evaluate hdfs hdfs.log.xz --labels labels.csv --complete",
    )
    evaluate.add_argument("model", type=Path, metavar="MODEL")
    logs(evaluate)
    evaluate.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="`stream,label` lines (0 or 1, "
        "normal or anomaly), or a JSON object a line; streams not named are normal",
    )
    evaluate.add_argument(
        "--only", type=Path, metavar="FILE", help="only these streams, one a line"
    )
    evaluate.add_argument(
        "--complete", action="store_true", help="every stream begins and ends within these logs"
    )

    score = command(
        "score",
        "write the alerts of log files as JSON lines or Parquet",
        "offscript score hdfs hdfs.log.xz --out alerts.jsonl",
    )
    score.add_argument("model", type=Path, metavar="MODEL")
    logs(score)
    score.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="JSON lines, or Parquet if it ends in .parquet; standard output if left out",
    )
    score.add_argument(
        "--complete", action="store_true", help="every stream begins and ends within these logs"
    )

    serve = command(
        "serve",
        "serve a model, or several by name, over gRPC, with metrics over HTTP",
        "offscript serve hdfs --store sqlite:///alerts.db",
    )
    add_serving(serve)

    send = command(
        "send",
        "stream log files or standard input to a service",
        "tail -F app.log | offscript send -",
    )
    logs(send)
    to(send)
    send.add_argument(
        "--model",
        default="",
        metavar="NAME",
        help="of the service's models, the one that is to score it; without, the default one",
    )
    send.add_argument(
        "--follow", action="store_true", help="go on with what is added, as tail -F; plain files"
    )
    send.add_argument(
        "--position",
        type=Path,
        metavar="FILE",
        help="with --follow: keep in this file how far was sent, and go on there after a restart",
    )
    send.add_argument(
        "--drop-after",
        type=float,
        metavar="SECONDS",
        help="from standard input: drop lines once the service has acknowledged nothing for so "
        "long and no more can wait (60; inf: never), so that who writes does not stand still",
    )

    alerts = command(
        "alerts",
        "list alerts, newest first, or watch them come",
        "offscript alerts --watch",
    )
    to(alerts)
    instead = alerts.add_mutually_exclusive_group()
    instead.add_argument("--watch", action="store_true", help="print alerts as they come")
    instead.add_argument(
        "--parquet", type=Path, metavar="FILE", help="write all of them to a Parquet file instead"
    )
    alerts.add_argument("--model", metavar="NAME", help="of one of the service's models")
    alerts.add_argument("--stream", metavar="KEY", help="of one stream")
    alerts.add_argument("--detector", choices=DETECTORS)
    alerts.add_argument(
        "--since", metavar="TIME", help="seen since, as in 2026-03-01T12:00, in UTC"
    )
    alerts.add_argument(
        "--status",
        choices=("open", "normal", "anomalous", "suppressed", "acknowledged", "resolved"),
        help="how they stand; normal and anomalous: what they were called last, also if they were "
        "acknowledged or resolved since; else all but the suppressed ones; not with --watch",
    )
    alerts.add_argument(
        "--most", type=_count, metavar="N", help="how many are listed (50); not those watched"
    )
    alerts.add_argument("--json", action="store_true", help="a JSON object a line")

    explain = command("explain", "say why an alert was raised", "offscript explain 1f0c22a9")
    explain.add_argument("alert", metavar="ALERT", help="its id, or the beginning of it")
    to(explain)
    form(explain, "docs/explanations.md")
    explain.add_argument(
        "--no-checks",
        action="store_true",
        help="score nothing again: neither with the evidence replaced, nor what would have been",
    )

    feedback = command(
        "feedback",
        "record whether an alert was right, that you are on it, that it is dealt with, or is not",
        "offscript feedback 1f0c22a9 normal --comment 'planned migration'",
    )
    feedback.add_argument("alert", metavar="ALERT", help="its id, or the beginning of it")
    verdicts = ("normal", "anomalous", "acknowledged", "resolved", "open")
    feedback.add_argument("verdict", choices=verdicts)
    to(feedback)
    feedback.add_argument("--comment", default="")
    feedback.add_argument("--by", default=os.environ.get("USER", ""), help="who says so ($USER)")
    feedback.add_argument(
        "--suppress",
        choices=("stream", "everywhere"),
        help="of a normal one: keep alerts of the same kind (detector, event, and event expected "
        "instead) quiet from now on, in its stream or everywhere",
    )
    feedback.add_argument(
        "--days", type=float, default=30.0, help="for how long (30); see offscript suppressions"
    )

    suppressions = command(
        "suppressions",
        "list what is kept quiet, or end it",
        "offscript suppressions --revoke 9c41d02e",
    )
    to(suppressions)
    suppressions.add_argument("--revoke", metavar="ID", help="end this one now")
    suppressions.add_argument("--json", action="store_true", help="one JSON object a line")

    reload = command(
        "reload",
        "have a service serve another model, without losing a call or an event",
        "offscript reload models/2026-03-02",
    )
    reload.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="its folder, on the service's machine; without, what now lies at the MODEL that it "
        "was started with, which is also what it serves after a restart",
    )
    reload.add_argument(
        "--model",
        dest="name",
        default="",
        metavar="NAME",
        help="of the service's models, the one whose place it takes; without, the default one",
    )
    to(reload)

    audit = command(
        "audit",
        "list who gave verdicts, suppressed, revoked, or changed what is served",
        "offscript audit --since 2026-03-01",
    )
    to(audit)
    audit.add_argument("--since", metavar="TIME", help="done since, in UTC: 2026-03-01T12:00")
    audit.add_argument("--most", type=_count, default=50, metavar="N", help="how many (50)")
    audit.add_argument("--json", action="store_true", help="a JSON object a line")

    token = command(
        "token",
        "let someone call a service: add a line to its token file, and print the secret once",
        "offscript token tokens collector --scopes send",
    )
    token.add_argument(
        "tokens", type=Path, metavar="TOKENS", help="the file of offscript serve --tokens"
    )
    token.add_argument("name", metavar="NAME", help="of whoever will use it")
    token.add_argument(
        "--scopes",
        required=True,
        metavar="SCOPE[,SCOPE]",
        help="send (events), read (alerts, explanations, metrics), or admin (these, "
        "verdicts, suppressions, reloads and the audit trail)",
    )

    card = command(
        "card",
        "read a whole model: what it has learned, head by head",
        "offscript card hdfs --html hdfs.html",
    )
    card.add_argument("model", type=Path, metavar="MODEL")
    add_reading(card, form(card, "docs/card.md"))

    edit = command(
        "edit",
        "write a new version of a model with one path damped: a head, a bigram, or a head's rule",
        "offscript edit hdfs --out hdfs-2 --head L0H1 --by 0.5",
    )
    add_editing(edit)

    demo = command(
        "demo",
        "train, serve, send, catch and explain, on a recorded PostgreSQL log",
        "offscript demo",
    )
    demo.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the model and the alerts here"
    )
    return top


def _count(text: str) -> int:
    """One or more."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number
