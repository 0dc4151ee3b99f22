"""Alerts in a terminal: a line each, for people or as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from google.protobuf.json_format import MessageToDict

from ..protos import detector_pb2 as pb


def one_line(alert: pb.Alert) -> str:
    """When, what, how far above the threshold, and what was said of it."""
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


def as_json(alert: pb.Alert) -> str:
    """The message as it is in protos/detector.proto."""
    value = MessageToDict(alert, preserving_proto_field_name=True)
    return json.dumps(value, ensure_ascii=False)
