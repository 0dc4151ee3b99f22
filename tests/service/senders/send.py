"""Sends log records with OpenTelemetry's own SDK: `send.py grpc|protobuf ENDPOINT < RECORDS`.

A record is a line of JSON: {"millis": …, "body": …, "attributes": {…}}.
"""

from __future__ import annotations

import json
import sys

from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

kind, endpoint = sys.argv[1:]
exporter = GrpcExporter(endpoint) if kind == "grpc" else HttpExporter(endpoint)
provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = provider.get_logger("sender")
for line in sys.stdin:
    given = json.loads(line)
    logger.emit(
        LogRecord(
            timestamp=given["millis"] * 1_000_000,
            body=given["body"],
            attributes=given["attributes"],
        )
    )
provider.shutdown()
