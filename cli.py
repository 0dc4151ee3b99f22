"""The `offscript` command; each subcommand is one call into one folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model.errors import InputError, OffscriptError

if TYPE_CHECKING:
    from .protos import detector_pb2 as pb

ADDRESS = "127.0.0.1:50051"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it went well, 2 with one line on standard error if not."""
    # Matrices here are small: BLAS threads would wait for one another longer than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except OffscriptError as error:
        sys.stdout.flush()
        print(f"offscript: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _train(options: argparse.Namespace) -> int:
    _needs_torch()
    from .model.logs import read_lines
    from .training.corpus import read_ids
    from .training.train import TrainConfig, train_model

    config = TrainConfig(
        logs=tuple(options.logs),
        out=options.out,
        stream_key=options.stream_key,
        format=options.format,
        event=tuple(options.event.split(",")) if options.event else (),
        message=options.message,
        time=options.time,
        endless=options.endless,
        complete=options.complete,
        idle_seconds=options.idle,
        exclude=read_ids(read_lines([options.exclude])) if options.exclude else frozenset(),
        budget=options.budget,
        newest=options.newest,
        preset=options.preset,
        layers=options.layers,
        seed=options.seed,
        device=options.device,
        quiet=not sys.stderr.isatty(),
    )
    train_model(config, lambda line: print(line, flush=True))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    _needs_torch()
    from .model.folder import load_model
    from .model.logs import read_lines
    from .training.corpus import read_ids, read_labelled, read_labels
    from .training.evaluate import evaluate, table

    model = load_model(options.model)
    labels = read_labels(read_lines([options.labels])) if options.labels else None
    only = read_ids(read_lines([options.only])) if options.only else None
    corpus = read_labelled(model, options.logs, labels=labels, only=only)
    complete = options.complete or model.config.events.format == "sequences"
    print(table(evaluate(model, corpus, complete=complete)))
    return 0


def _score(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from .model.folder import load_model
    from .model.score import Totals, score_logs

    model = load_model(options.model)
    totals = Totals()
    size = sum(path.stat().st_size for path in options.logs if path.is_file())
    out = options.out.open("w", encoding="utf-8") if options.out else sys.stdout
    with (
        tqdm(total=size or None, unit="B", unit_scale=True, disable=not sys.stderr.isatty()) as bar,
        out,
    ):

        def read(size: int) -> None:
            bar.update(size)

        alerts = score_logs(
            model, options.logs, complete=options.complete, totals=totals, progress=read
        )
        for alert in alerts:
            out.write(json.dumps(alert.to_json(), ensure_ascii=False) + "\n")
    print(
        f"{totals.lines:,} lines, {totals.events:,} events ({totals.new:,} of unknown kinds), "
        f"{totals.streams:,} streams, {totals.alerts:,} alerts; {totals.unkeyed:,} lines without a "
        f"stream key, {totals.broken:,} broken",
        file=sys.stderr,
    )
    return 0


def _serve(options: argparse.Namespace) -> int:
    from .service.config import ServiceConfig
    from .service.server import serve

    return serve(
        ServiceConfig(
            model=options.model,
            grpc=options.grpc,
            http=options.http,
            store=options.store,
            insecure=options.insecure,
            max_streams=options.max_streams,
        )
    )


def _send(options: argparse.Namespace) -> int:
    from .service.send import Sent, send

    def progress(sent: Sent) -> None:
        if sys.stderr.isatty():
            print(f"\r{sent.events:,} events, {sent.alerts:,} alerts", end="", file=sys.stderr)

    sent = send(
        options.logs,
        options.to,
        follow=options.follow,
        progress=progress,
        say=lambda line: print(f"offscript: {line}", file=sys.stderr),
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(
        f"sent {sent.lines:,} lines: {sent.events:,} events scored, {sent.alerts:,} alerts; "
        f"{sent.unkeyed:,} lines without a stream key, {sent.continuations:,} that go on with the "
        "record before",
    )
    return 130 if sent.interrupted else 0


def _alerts(options: argparse.Namespace) -> int:
    from .service.client import Client

    with Client(options.to) as client:
        since = datetime.fromisoformat(options.since).timestamp() if options.since else None
        filters: dict[str, Any] = {"stream": options.stream, "detector": options.detector or ""}
        if options.watch:
            found = client.watch(since=since, **filters)
        else:
            found = client.alerts(since=since, status=options.status or "", **filters)
        for number, alert in enumerate(found):
            if number == options.most and not options.watch:
                print(f"… more; see all with --most {10 * options.most}")
                break
            print(_as_json(alert) if options.json else _one_line(alert), flush=options.watch)
    return 0


def _explain(options: argparse.Namespace) -> int:
    from .service.client import Client

    with Client(options.to) as client:
        explanation = client.explain(options.alert, checks=not options.no_checks)
    print(explanation.json if options.json else explanation.text)
    return 0


def _feedback(options: argparse.Namespace) -> int:
    from .service.client import Client

    with Client(options.to) as client:
        alert = client.feedback(
            options.alert, options.verdict, comment=options.comment, by=options.by
        )
    print(f"recorded: {alert.id} is {options.verdict}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    _needs_torch()
    from .examples.postgres.demo import demo

    return demo(options.keep)


def _needs_torch() -> None:
    try:
        import sklearn  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"training and evaluation need {error.name}, which is not installed; "
            "run: pip install 'offscript[train]'"
        ) from error


def _one_line(alert: pb.Alert) -> str:
    moment = datetime.fromtimestamp(alert.time_micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    again = f" ×{alert.count}" if alert.count > 1 else ""
    verdict = {1: " [normal]", 2: " [anomalous]"}.get(
        alert.feedback[-1].verdict if alert.feedback else 0, ""
    )
    what = alert.text or alert.observed
    return (
        f"{alert.id[:12]}  {moment}  {alert.detector:<6} {alert.score / alert.threshold:4.1f}×  "
        f"{alert.stream}  {what[:100]}{again}{verdict}"
    )


def _as_json(alert: pb.Alert) -> str:
    from google.protobuf.json_format import MessageToDict

    value = MessageToDict(alert, preserving_proto_field_name=True)
    return json.dumps(value, ensure_ascii=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="offscript",
        description="Learns the script that event streams follow, and says the moment one goes off "
        "it: what happened, what should have happened instead, and which earlier events say so.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
    ) -> Any:
        added = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    def to(added: Any) -> None:
        added.add_argument(
            "--to", default=ADDRESS, metavar="HOST:PORT", help=f"the service ({ADDRESS})"
        )

    logs = {"nargs": "+", "type": Path, "metavar": "LOGS"}
    log_help = "text, JSON lines or sequences; plain, .gz, .bz2 or .xz; - is standard input"

    train = command(
        "train",
        _train,
        "learn from normal logs and write a model folder",
        r"offscript train hdfs.log.xz --out hdfs --stream-key 'blk_-?\d+' --complete",
    )
    train.add_argument("logs", **logs, help=log_help)
    train.add_argument(
        "--out", type=Path, required=True, metavar="MODEL", help="the folder to write"
    )
    train.add_argument(
        "--stream-key",
        metavar="KEY",
        help="what tells streams apart: a regular expression (group 1, else the whole match) for "
        "text, a field for JSON; 'auto' proposes one; left out, the log is one endless stream",
    )
    train.add_argument(
        "--budget",
        help="acceptable false alerts: '5/day', '1/1000 streams' (the "
        "default, or the smallest that the data supports), '10/million events'",
    )
    train.add_argument(
        "--exclude",
        type=Path,
        metavar="FILE",
        help="streams to leave out, one key a line: known incidents, streams kept for testing",
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
        help="calibrate on the newest streams instead of on ones drawn at random",
    )
    train.add_argument(
        "--format", choices=("text", "json", "sequences"), help="found out if left out"
    )
    train.add_argument("--event", metavar="FIELD[,FIELD]", help="JSON: fields that name the event")
    train.add_argument("--message", metavar="FIELD", help="JSON: a field with a raw line instead")
    train.add_argument("--time", metavar="FIELD", help="JSON: the field of the time")
    train.add_argument("--preset", choices=("tiny", "small"), default="tiny", help="size (tiny)")
    train.add_argument("--layers", type=int, choices=(0, 1, 2), help="layers of attention (2)")
    train.add_argument("--seed", type=int, default=0, help="for everything random (0)")
    train.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")

    evaluate = command(
        "evaluate",
        _evaluate,
        "measure a model against labelled streams, beside an n-gram baseline",
        "offscript evaluate hdfs hdfs.log.xz --labels labels.csv --complete",
    )
    evaluate.add_argument("model", type=Path, metavar="MODEL")
    evaluate.add_argument("logs", **logs, help=log_help)
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
        _score,
        "write the alerts of log files as JSON lines",
        "offscript score hdfs hdfs.log.xz --out alerts.jsonl",
    )
    score.add_argument("model", type=Path, metavar="MODEL")
    score.add_argument("logs", **logs, help=log_help)
    score.add_argument("--out", type=Path, metavar="FILE", help="standard output if left out")
    score.add_argument(
        "--complete", action="store_true", help="every stream begins and ends within these logs"
    )

    serve = command(
        "serve",
        _serve,
        "serve a model over gRPC, with metrics over HTTP",
        "offscript serve hdfs --store sqlite:///alerts.db",
    )
    serve.add_argument("model", type=Path, metavar="MODEL")
    serve.add_argument("--grpc", default=ADDRESS, metavar="HOST:PORT", help=f"events ({ADDRESS})")
    serve.add_argument(
        "--http",
        default="127.0.0.1:9464",
        metavar="HOST:PORT",
        help="/metrics, /healthz, /readyz (127.0.0.1:9464)",
    )
    serve.add_argument(
        "--store",
        default="sqlite:///offscript.db",
        metavar="URL",
        help="where alerts and stream state are kept (sqlite:///offscript.db)",
    )
    serve.add_argument(
        "--max-streams",
        type=int,
        default=1_000_000,
        metavar="N",
        help="streams kept in memory; past that the longest silent are forgotten (1,000,000)",
    )
    serve.add_argument(
        "--insecure",
        action="store_true",
        help="allow addresses that other machines reach, without encryption",
    )

    send = command(
        "send",
        _send,
        "stream log files or standard input to a service",
        "tail -F app.log | offscript send -",
    )
    send.add_argument("logs", **logs, help=log_help)
    to(send)
    send.add_argument("--follow", action="store_true", help="go on with what is added, as tail -F")

    alerts = command(
        "alerts",
        _alerts,
        "list alerts, newest first, or watch them come",
        "offscript alerts --watch",
    )
    to(alerts)
    alerts.add_argument("--watch", action="store_true", help="print alerts as they come")
    alerts.add_argument("--stream", metavar="KEY", help="of one stream")
    alerts.add_argument("--detector", choices=("event", "drift", "end", "new", "counts"))
    alerts.add_argument("--since", metavar="TIME", help="seen since, as in 2026-03-01T12:00")
    alerts.add_argument("--status", choices=("open", "normal", "anomalous"), help="by last verdict")
    alerts.add_argument("--most", type=int, default=50, metavar="N", help="how many (50)")
    alerts.add_argument("--json", action="store_true", help="a JSON object a line")

    explain = command(
        "explain", _explain, "say why an alert was raised", "offscript explain 1f0c22a9"
    )
    explain.add_argument("alert", metavar="ALERT", help="its id, or the beginning of it")
    to(explain)
    explain.add_argument(
        "--json", action="store_true", help="as JSON; docs/explanations.md has the schema"
    )
    explain.add_argument(
        "--no-checks", action="store_true", help="do not rescore with the evidence replaced"
    )

    feedback = command(
        "feedback",
        _feedback,
        "record whether an alert was right",
        "offscript feedback 1f0c22a9 normal --comment 'planned migration'",
    )
    feedback.add_argument("alert", metavar="ALERT", help="its id, or the beginning of it")
    feedback.add_argument("verdict", choices=("normal", "anomalous"))
    to(feedback)
    feedback.add_argument("--comment", default="")
    feedback.add_argument("--by", default=os.environ.get("USER", ""), help="who says so ($USER)")

    demo = command(
        "demo",
        _demo,
        "train, serve, send, catch and explain, on a recorded PostgreSQL log",
        "offscript demo",
    )
    demo.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the model and the alerts here"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
