"""The `offscript` command; each subcommand is one call into one folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from .model.errors import InputError, OffscriptError
from .options import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it went well, 2 with one line on standard error if not, 1 from `send` if
    lines were dropped.
    """
    # Matrices here are small: BLAS threads would wait for one another longer than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # gRPC's own lines on every broken handshake: nobody on the network may fill our log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options = parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except OffscriptError as error:
        sys.stdout.flush()
        print(f"offscript: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _say_no_more()  # whoever read our output has seen enough
        return 0
    except OSError as error:
        # What we open ourselves complains for itself; left are disks that are full, and the like.
        place = f"{error.filename}: " if error.filename else ""
        print(f"offscript: {place}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _train(options: argparse.Namespace) -> int:
    _needs_torch()
    from .model.folder import load_model, make_room
    from .model.logs import read_lines
    from .model.skeleton import WILDCARD
    from .training.config import TrainConfig
    from .training.corpus import read_ids
    from .training.folds import checkpoint_of, checkpoints_of
    from .training.successor import train_after
    from .training.train import train_model

    config = TrainConfig(
        logs=tuple(options.logs),
        out=options.out,
        stream_key=options.stream_key,
        format=options.format,
        event=tuple(options.event.split(",")) if options.event else (),
        message=options.message,
        time=options.time,
        masks=tuple((pattern, WILDCARD) for pattern in options.mask),
        endless=options.endless,
        complete=options.complete,
        idle_seconds=options.idle,
        exclude=read_ids(read_lines([options.exclude] if options.exclude else []), label=1),
        normal=read_ids(read_lines([options.normal] if options.normal else []), label=0),
        keep_outliers=options.keep_outliers,
        budget=options.budget,
        newest=options.newest,
        preset=options.preset,
        layers=options.layers,
        compare_layers=options.compare_layers,
        steps=options.steps,
        seed=options.seed,
        device=options.device,
        quiet=not sys.stderr.isatty(),
    )
    before = load_model(options.before) if options.before else None
    make_room(config.out)  # said before the minutes of training, not after them
    try:
        if before is None:
            train_model(config, _say)
        else:
            train_after(config, before, _say)
    except KeyboardInterrupt:
        if checkpoints_of(config):
            print(
                f"offscript: interrupted; the same command goes on from {checkpoint_of(config)}*",
                file=sys.stderr,
            )
        raise
    return 0


def _say(line: str) -> None:
    """Print what is only told on the way: the work goes on though nobody reads it."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        _say_no_more()


def _say_no_more() -> None:
    """Python must not complain of its reader when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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

    from .model.event import nothing_read
    from .model.folder import load_model
    from .model.output import alert_file
    from .model.score import Totals, score_logs

    model = load_model(options.model)
    totals = Totals()
    size = sum(path.stat().st_size for path in options.logs if path.is_file())
    with ExitStack() as stack:
        write = stack.enter_context(alert_file(options.out))
        quiet = not sys.stderr.isatty()
        bar = stack.enter_context(tqdm(total=size, unit="B", unit_scale=True, disable=quiet))

        def read(size: int) -> None:
            bar.update(size)

        alerts = score_logs(
            model, options.logs, complete=options.complete, totals=totals, progress=read
        )
        for alert in alerts:
            write(alert)
    if not totals.events:
        raise nothing_read(lines=totals.lines, unkeyed=totals.unkeyed, broken=totals.broken)
    print(
        f"{totals.lines:,} lines, {totals.events:,} events ({totals.new:,} of unknown kinds), "
        f"{totals.streams:,} streams, {totals.alerts:,} alerts; {totals.unkeyed:,} lines without a "
        f"stream key, {totals.broken:,} broken",
        file=sys.stderr,
    )
    return 0


def _serve(options: argparse.Namespace) -> int:
    from .service.options import config_of
    from .service.server import serve

    return serve(config_of(options))


def _send(options: argparse.Namespace) -> int:
    from .service.operate import send_logs

    return send_logs(options)


def _alerts(options: argparse.Namespace) -> int:
    from .service.client import Client
    from .service.credentials import credentials_of
    from .service.listing import as_json, one_line, seconds

    if options.watch and (options.status or options.most):
        raise InputError("--watch prints all alerts as they come: leave out --status and --most")
    if options.parquet and (options.json or options.most):
        raise InputError("--parquet writes all alerts: leave out --json and --most")
    most = options.most or 50
    with Client(options.to, credentials=credentials_of(options)) as client:
        since = seconds(options.since) if options.since else None
        filters: dict[str, Any] = {
            "stream": options.stream,
            "detector": options.detector or "",
            "model": options.model,
        }
        if options.watch:
            found = client.watch(since=since, **filters)
        else:
            found = client.alerts(since=since, status=options.status or "", **filters)
        if options.parquet:
            from .service.export import export

            print(f"{export(found, options.parquet):,} alerts written to {options.parquet}")
            return 0
        for number, alert in enumerate(found):
            if number == most and not options.watch:
                print(f"… more; see all with --most {10 * most}", file=sys.stderr)
                break
            print(as_json(alert) if options.json else one_line(alert), flush=options.watch)
    return 0


def _explain(options: argparse.Namespace) -> int:
    from .service.why import explain

    return explain(options)


def _card(options: argparse.Namespace) -> int:
    if options.diff:
        from .training.versions import difference

        return difference(options)
    if options.streams:
        raise InputError("--streams says where two models differ; give the other one with --diff")
    from .interpret.card_text import card_text
    from .interpret.reading import read_model
    from .model.folder import load_model

    model = load_model(options.model)
    if options.tables:
        from .interpret.card_tables import write_tables

        print(write_tables(options.tables, model))
        return 0
    card = read_model(model)
    if options.html:
        from .interpret.card_page import card_page

        options.html.write_text(card_page(card), encoding="utf-8")
        print(f"page written to {options.html}")
    elif options.figures:
        from .interpret.card_figures import card_figures
        from .interpret.figure_files import write_figures

        print(write_figures(options.figures, card_figures(card)))
    else:
        print(json.dumps(card.to_json(), ensure_ascii=False) if options.json else card_text(card))
    return 0


def _edit(options: argparse.Namespace) -> int:
    from .training.versions import edit

    return edit(options)


def _feedback(options: argparse.Namespace) -> int:
    from .service.operate import feedback

    return feedback(options)


def _suppressions(options: argparse.Namespace) -> int:
    from .service.operate import suppressions

    return suppressions(options)


def _reload(options: argparse.Namespace) -> int:
    from .service.operate import reload

    return reload(options)


def _audit(options: argparse.Namespace) -> int:
    from .service.operate import audit

    return audit(options)


def _token(options: argparse.Namespace) -> int:
    from .service.tokens import add_token

    secret = add_token(options.tokens, options.name, options.scopes.split(","))
    print(
        f"added {options.name} ({options.scopes}) to {options.tokens}, which a service reads when "
        "it starts or gets SIGHUP; its secret, shown this once:",
        file=sys.stderr,
    )
    print(secret)
    return 0


def _demo(options: argparse.Namespace) -> int:
    _needs_torch()
    from .examples.postgres.demo import demo

    return demo(options.keep)


def _needs_torch() -> None:
    try:
        import scipy  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"training and evaluation need {error.name}, which is not installed; "
            "run: pip install 'offscript[train]'"
        ) from error


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": _train,
    "evaluate": _evaluate,
    "score": _score,
    "serve": _serve,
    "send": _send,
    "alerts": _alerts,
    "explain": _explain,
    "feedback": _feedback,
    "suppressions": _suppressions,
    "reload": _reload,
    "audit": _audit,
    "token": _token,
    "card": _card,
    "edit": _edit,
    "demo": _demo,
}


if __name__ == "__main__":
    sys.exit(main())
