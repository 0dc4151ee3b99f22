"""The options of `offscript serve`, and the configuration that they come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..model.errors import InputError
from .config import REORDER_SECONDS, ServiceConfig

_DEFAULT = ServiceConfig
ADDRESS = _DEFAULT.grpc


def add_serving(serve: argparse.ArgumentParser) -> None:
    """Give a command the options of a service."""
    serve.add_argument(
        "models",
        nargs="+",
        metavar="[NAME=]MODEL",
        help="a model's folder; several have names, by which senders choose (web=models/web), and "
        "who names none means the one without, or else the first; a folder with = in its own path "
        "is written ./a=b",
    )
    serve.add_argument("--grpc", default=ADDRESS, metavar="HOST:PORT", help=f"events ({ADDRESS})")
    serve.add_argument(
        "--http",
        default=_DEFAULT.http,
        metavar="HOST:PORT",
        help=f"/metrics, /healthz, /readyz, OTLP's /v1/logs ({_DEFAULT.http})",
    )
    serve.add_argument(
        "--otlp-stream",
        type=lambda text: tuple(text.split(",")),
        default=_DEFAULT.otlp_stream,
        metavar="ATTR[,ATTR…]",
        help="attributes of a log record, its scope or its resource that make its stream, for "
        "OTLP; by default as docs/otlp.md says",
    )
    serve.add_argument(
        "--otlp-model",
        default=_DEFAULT.otlp_model,
        metavar="ATTR",
        help="the attribute of a log record, its scope or its resource that names its model, where "
        "several are served; records without it go to the default one",
    )
    serve.add_argument(
        "--reorder",
        type=float,
        default=_DEFAULT.reorder_seconds,
        metavar="SECONDS",
        help="how long an event waits for earlier ones of its stream that were overtaken on their "
        "way, as where a Collector has several consumers; answers come that much later, too "
        f"({_DEFAULT.reorder_seconds:g}; up to {REORDER_SECONDS:g})",
    )
    serve.add_argument(
        "--store",
        default=_DEFAULT.store,
        metavar="URL",
        help=f"where alerts and stream state are kept ({_DEFAULT.store})",
    )
    serve.add_argument(
        "--lines",
        type=Path,
        metavar="DIR",
        help="where recent raw lines are kept for explanations, on this machine: a folder of this "
        "service alone (beside the SQLite file; with PostgreSQL nowhere)",
    )
    serve.add_argument(
        "--keep-days",
        type=float,
        default=_DEFAULT.keep_days,
        metavar="DAYS",
        help="how long alerts are kept after they were last raised or judged "
        f"({_DEFAULT.keep_days:g}); those judged anomalous are never deleted",
    )
    serve.add_argument(
        "--keep-audit-days",
        type=float,
        default=_DEFAULT.keep_audit_days,
        metavar="DAYS",
        help="how long the record of who did what is kept "
        f"({_DEFAULT.keep_audit_days:g}); see offscript audit",
    )
    serve.add_argument(
        "--max-alerts",
        type=int,
        default=_DEFAULT.max_alerts,
        metavar="N",
        help="alerts kept besides those; past that the longest unchanged are deleted "
        f"({_DEFAULT.max_alerts:,})",
    )
    serve.add_argument(
        "--max-alert-megabytes",
        type=int,
        default=_DEFAULT.max_alert_bytes >> 20,
        metavar="MB",
        help=f"that those may take; past that the same ({_DEFAULT.max_alert_bytes >> 20:,})",
    )
    serve.add_argument(
        "--max-streams",
        type=int,
        default=_DEFAULT.max_streams,
        metavar="N",
        help="streams kept in memory; past that the longest silent are forgotten, of the token or "
        f"address that has most ({_DEFAULT.max_streams:,})",
    )
    serve.add_argument(
        "--live-megabytes",
        type=int,
        default=_DEFAULT.live_bytes >> 20,
        metavar="MB",
        help="memory for fast scoring, 16 KB for each stream that goes its own way; those silent "
        "for longest do without and are slower when they go on; an eighth is for ways that many go "
        f"({_DEFAULT.live_bytes >> 20:,})",
    )
    serve.add_argument(
        "--threads",
        type=int,
        default=_DEFAULT.threads,
        metavar="N",
        help=f"that score, for each model; each has its streams ({_DEFAULT.threads})",
    )
    serve.add_argument(
        "--sender-events",
        type=float,
        default=_DEFAULT.sender_events,
        metavar="N",
        help="events a second that one token may send, or without tokens one address; ten seconds' "
        "worth at once (no limit)",
    )
    serve.add_argument(
        "--sender-megabytes",
        type=int,
        default=_DEFAULT.sender_bytes >> 20,
        metavar="MB",
        help="of the same that wait to be scored (no limit; all senders together have "
        f"{_DEFAULT.queue_bytes >> 20})",
    )
    serve.add_argument(
        "--watch-model",
        action="store_true",
        help="serve another model as soon as it lies at a MODEL, a folder or a link to one; "
        "without, offscript reload or SIGHUP says when",
    )
    serve.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="certificate of both ports (PEM): speak TLS"
    )
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="its key")
    serve.add_argument(
        "--client-ca",
        type=Path,
        metavar="FILE",
        help="admit only clients with a certificate that this authority signed; over HTTP, to all "
        "but /healthz and /readyz",
    )
    serve.add_argument(
        "--tokens",
        type=Path,
        metavar="FILE",
        help="who may call, and for what; offscript token writes it",
    )
    serve.add_argument(
        "--redact",
        type=Path,
        metavar="FILE",
        help="what is secret in a line, besides passwords, tokens and card numbers: regular "
        "expressions, one a line; of one with a group that is taken out, else all of what matches",
    )
    serve.add_argument(
        "--alertmanager",
        metavar="URL",
        help="tell this Alertmanager what fires, by kind of alert: http://127.0.0.1:9093",
    )
    serve.add_argument(
        "--webhook", metavar="URL", help="post every kind of alert that comes or goes on, as JSON"
    )
    serve.add_argument(
        "--webhook-secret", type=Path, metavar="FILE", help="sign it with the secret in this file"
    )
    serve.add_argument(
        "--incidents",
        type=_per_hour,
        default=_DEFAULT.incidents_per_hour,
        metavar="N/hour",
        help="kinds of alert that are told each by itself as they begin; those past that are told "
        f"as one, a storm ({_DEFAULT.incidents_per_hour}/hour)",
    )
    serve.add_argument(
        "--insecure",
        action="store_true",
        help="allow addresses that other machines reach without TLS or without tokens",
    )


def config_of(options: argparse.Namespace) -> ServiceConfig:
    """What the options ask for."""
    return ServiceConfig(
        models=_models(options.models),
        grpc=options.grpc,
        http=options.http,
        store=options.store,
        lines=options.lines,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        client_ca=options.client_ca,
        tokens=options.tokens,
        alertmanager=options.alertmanager,
        webhook=options.webhook,
        webhook_secret=options.webhook_secret,
        incidents_per_hour=options.incidents,
        otlp_stream=options.otlp_stream,
        otlp_model=options.otlp_model,
        reorder_seconds=options.reorder,
        watch_model=options.watch_model,
        insecure=options.insecure,
        keep_days=options.keep_days,
        keep_audit_days=options.keep_audit_days,
        max_alerts=options.max_alerts,
        max_alert_bytes=options.max_alert_megabytes << 20,
        max_streams=options.max_streams,
        live_bytes=options.live_megabytes << 20,
        threads=options.threads,
        sender_events=options.sender_events,
        sender_bytes=options.sender_megabytes << 20,
        redact=options.redact,
    )


def _per_hour(text: str) -> int:
    count, slash, unit = text.partition("/")
    if not count.isascii() or not count.isdigit() or slash + unit != "/hour" or int(count) < 1:
        raise argparse.ArgumentTypeError(f"expected a number an hour like 10/hour, got {text!r}")
    return int(count)


def _models(texts: Sequence[str]) -> dict[str, Path]:
    """Folders by name. What stands before a = is a name, unless it has a / in it."""
    models: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or "/" in name:
            name, path = "", text
        elif not (name and path):
            raise InputError(f"expected NAME=MODEL or MODEL, got {text!r}")
        if name in models:
            raise InputError(
                f"expected every model under a name of its own, got {name} twice: "
                f"{models[name]} and {path}"
                if name
                else f"expected at most one model without a name, got {models[name]} and {path}; "
                "give NAME=MODEL"
            )
        models[name] = Path(path)
    return models
