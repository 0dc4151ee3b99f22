"""Alerts and suppressions in a terminal: a line each, for people or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from ..interpret.explanation import Similar
from ..interpret.words import clean
from ..model.errors import InputError
from ..protos import detector_pb2 as pb
from .messages import micros

_SIMILAR = 5  # alerts that are shown
_STATUSES = {
    pb.STATUS_NORMAL: " [normal]",
    pb.STATUS_ANOMALOUS: " [anomalous]",
    pb.STATUS_SUPPRESSED: " [suppressed]",
    pb.STATUS_ACKNOWLEDGED: " [acknowledged]",
    pb.STATUS_RESOLVED: " [resolved]",
}


def one_line(alert: pb.Alert) -> str:
    """When, what, how far above the threshold, and how it stands; no terminal obeys it."""
    moment = _moment(alert.time_micros)
    again = f" ×{alert.count}" if alert.count > 1 else ""
    verdict = _STATUSES.get(alert.status, "")
    what = clean(alert.text or alert.observed)
    return (
        f"{alert.id[:12]}  {moment}  {alert.detector:<6} {alert.score / alert.threshold:4.1f}×  "
        f"{_stream(alert)}  {what[:100]}{again}{verdict}"
    )


def similar_lines(similar: Sequence[Similar]) -> list[str]:
    """Other alerts of the same kind, what they rest on, and what was said of them; nothing if there
    are none.
    """
    if not similar:
        return []
    lines = [f"The same kind of alert before or since ({len(similar)})"]
    for alert in similar[:_SIMILAR]:
        said = alert.feedback[-1] if alert.feedback else None
        comment = "  " + clean(f"{said.by}: {said.comment}".strip(": ")) if said else ""
        status = "" if alert.status == "open" else f" [{alert.status}]"
        moment, again = _moment(micros(alert.time)), f" ×{alert.count}" if alert.count > 1 else ""
        stream = clean(alert.stream)
        lines.append(f"  {alert.alert[:12]}  {moment}  {stream}{again}{status}{comment}")
        if alert.same:
            lines.append("    for the same reason")
        elif alert.evidence:
            lines.append("    because of " + ", ".join(f"`{clean(e)}`" for e in alert.evidence))
    if len(similar) > _SIMILAR:
        lines.append(f"  … and {len(similar) - _SIMILAR} more")
    return lines


def suppression_line(suppression: pb.Suppression) -> str:
    """What is kept quiet, where, how long, and who said so."""
    where = f"in {clean(suppression.stream)}" if suppression.HasField("stream") else "everywhere"
    where += f" of {suppression.model_name}" if suppression.model_name else ""
    state = f"until {_moment(suppression.until_micros)}"
    if not suppression.active:
        ended = suppression.revoked_micros or suppression.until_micros
        state = f"ended {_moment(ended)}"
    said = "  ".join(filter(None, map(clean, (suppression.by, suppression.comment))))
    observed, expected = clean(suppression.observed)[:60], clean(suppression.expected)
    if suppression.line:
        observed += f" like `{clean(suppression.line)[:100]}`"
    why = ", ".join(f"`{clean(event)[:60]}`" for event in suppression.evidence)
    what = f"{observed} instead of {expected[:60]}{why and f' because of {why}'}, {where}"
    return (
        f"{suppression.id[:12]}  {state}  {suppression.detector}: {what}; kept "
        f"{suppression.count} quiet  {said}"
    ).rstrip()


def deed_line(deed: pb.Deed) -> str:
    """When, who and what."""
    what = f"{deed.action:<11} {clean(deed.what)}"
    return f"{_moment(deed.time_micros)}  {clean(deed.who):<12}  {what}"


def _stream(alert: pb.Alert) -> str:
    """The key, after the name of its model if that has one."""
    return " ".join(filter(None, map(clean, (alert.model_name, alert.stream))))


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def as_json(message: Message) -> str:
    """The message as it is in protos/detector.proto."""
    value = MessageToDict(message, preserving_proto_field_name=True)
    return json.dumps(value, ensure_ascii=False)


def seconds(text: str) -> float:
    """Unix time of a moment that a person wrote, in UTC as all that is listed unless they say."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InputError(
            f"expected a time like 2026-03-01T12:00 for --since, got {text!r}"
        ) from None
