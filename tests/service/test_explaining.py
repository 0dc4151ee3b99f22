"""Explanations of stored alerts beside others of their kind."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from offscript.model.alert import Alert
from offscript.protos import detector_pb2 as pb
from offscript.protos.detector_pb2_grpc import DetectorStub

if TYPE_CHECKING:
    from offscript.tests.service.conftest import Running

Lines = Callable[..., list[str]]


def beside(alert: Alert, stream: str) -> Alert:
    """The same in another stream."""
    assert alert.text is not None
    text = alert.text.replace(alert.stream, stream)
    return replace(alert, id=uuid.uuid4().hex, stream=stream, text=text)


def test_of_alerts_of_one_kind_those_for_the_same_reason_come_first(
    running: Running, stub: DetectorStub, session: Lines
) -> None:
    usual, odd = session("0a"), session("0a", odd=True)[2]
    store, found = running.server._store, []
    for stream, before in {"0a": usual[:2], "0b": usual[:2], "0c": usual[3:4]}.items():
        lines = [line.replace("0a", stream, 1) for line in (*before, odd)]
        alerts = stub.ScoreOnce(pb.EventBatch(lines=lines)).alerts
        found += [store.alert(one.id).alert for one in alerts if one.observed == "<new>"]
    first, _, other = found
    unlike = replace(beside(first, "0d"), tokens=other.tokens, times=other.times, lines=other.lines)
    fewer = replace(beside(first, "0e"), tokens=(0,), times=(0.0,), lines=(None,))
    store.write([unlike, fewer])

    answer = stub.Explain(pb.ExplainRequest(alert_id=first.id))
    similar = json.loads(answer.json)["similar"]

    assert [alert.stream for alert in answer.similar] == ["0b", "0e", "0d"]
    assert [one["same"] for one in similar] == [True, None, False]
    assert similar[1]["evidence"] == []
    assert similar[0]["evidence"][0] != similar[2]["evidence"][0]
