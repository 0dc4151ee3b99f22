"""Requests of OTLP, and the service's methods for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

NOON = 1_772_452_800  # 2026-03-02 12:00:00


def value(plain: Any) -> AnyValue:
    match plain:
        case bool():
            return AnyValue(bool_value=plain)
        case int():
            return AnyValue(int_value=plain)
        case float():
            return AnyValue(double_value=plain)
        case bytes():
            return AnyValue(bytes_value=plain)
        case list():
            return AnyValue(array_value=ArrayValue(values=[value(each) for each in plain]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=attributes(plain)))
        case None:
            return AnyValue()
        case _:
            return AnyValue(string_value=plain)


def attributes(pairs: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(plain)) for key, plain in pairs.items()]


def record(body: Any = None, *, second: float = 0.0, name: str = "", **more: Any) -> LogRecord:
    """A log record; `more` are its attributes, with _ for the dots in their names."""
    return LogRecord(
        body=value(body),
        event_name=name,
        time_unix_nano=round((NOON + second) * 1e9),
        attributes=attributes({key.replace("_", "."): plain for key, plain in more.items()}),
    )


def request(
    records: Iterable[LogRecord], resource: Mapping[str, Any] | None = None
) -> ExportLogsServiceRequest:
    whole = ExportLogsServiceRequest()
    group = whole.resource_logs.add()
    group.resource.attributes.extend(attributes(resource or {}))
    group.scope_logs.add().log_records.extend(records)
    return whole


def method(channel: grpc.Channel) -> Any:  # gRPC's own type holds no types of messages
    """Export, as a call that takes bytes and gives the answer's message."""
    return channel.unary_unary(
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        response_deserializer=ExportLogsServiceResponse.FromString,
    )


def export(channel: grpc.Channel, sent: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
    answer = method(channel)(sent.SerializeToString())
    assert isinstance(answer, ExportLogsServiceResponse)
    return answer
