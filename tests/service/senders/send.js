// Sends log records with OpenTelemetry's own SDK: `node send.js grpc|protobuf|json ENDPOINT < RECORDS`.
// A record is a line of JSON: {"millis": …, "body": …, "attributes": {…}}.

import { readFileSync } from "node:fs";
import { diag, DiagConsoleLogger, DiagLogLevel } from "@opentelemetry/api";
import { OTLPLogExporter as GrpcExporter } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtobufExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
const [kind, url] = process.argv.slice(2);
const Exporter = { grpc: GrpcExporter, protobuf: ProtobufExporter, json: JsonExporter }[kind];
const provider = new LoggerProvider({
  processors: [new BatchLogRecordProcessor({ exporter: new Exporter({ url, compression: "gzip" }) })],
});
const logger = provider.getLogger("sender");
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { millis, body, attributes } = JSON.parse(line);
  logger.emit({ timestamp: new Date(millis), body, attributes });
}
await provider.shutdown();
