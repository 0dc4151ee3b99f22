// Streams a log to Offscript, waits for its alerts, and prints why the first one was raised.
//
//   npm ci && node client.js [--ca FILE] LOG [HOST:PORT]
//
// With --ca it speaks TLS to a service that this authority vouches for; its token is $OFFSCRIPT_TOKEN.
// Everything it knows about the service is in protos/detector.proto; see there for the fields.
import { randomUUID } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const BATCH_LINES = 512;

function fail(message) {
  console.error(message);
  process.exit(2);
}

function readOptions() {
  try {
    return parseArgs({ options: { ca: { type: "string" } }, allowPositionals: true });
  } catch (error) {
    return fail(`offscript: ${error.message}`);
  }
}

function credentials(ca) {
  if (!ca) return grpc.credentials.createInsecure();
  try {
    return grpc.credentials.createSsl(readFileSync(ca));
  } catch (error) {
    return fail(`offscript: cannot read the authority ${ca}: ${error.message}`);
  }
}

const { values, positionals } = readOptions();
const [log, address = "127.0.0.1:50051"] = positionals;
if (!log) fail("usage: node client.js [--ca FILE] LOG [HOST:PORT]");

const metadata = new grpc.Metadata(); // goes with every call
const token = process.env.OFFSCRIPT_TOKEN;
if (token) {
  if (!values.ca && !/^(localhost|127\.[\d.]+|\[::1\]):\d+$/.test(address)) {
    fail(`offscript: the token would go to ${address} unencrypted; give its authority with --ca`);
  }
  metadata.set("authorization", `Bearer ${token}`);
}

const proto = fileURLToPath(new URL("../../protos/detector.proto", import.meta.url));
const { Detector } = grpc.loadPackageDefinition(
  protoLoader.loadSync(proto, { keepCase: true, longs: Number, defaults: true }),
).offscript.v1;
const detector = new Detector(address, credentials(values.ca));

async function* batches() {
  const client = randomUUID(); // with `seq` the service would recognise a batch that is sent again
  let seq = 0;
  let lines = [];
  for await (const line of createInterface({ input: createReadStream(log) })) {
    lines.push(line);
    if (lines.length === BATCH_LINES) {
      yield { client, seq: ++seq, lines };
      lines = [];
    }
  }
  if (lines.length) yield { client, seq: ++seq, lines };
}

// The pipeline waits where the service reads no faster than it scores.
async function send() {
  const alerts = [];
  let events = 0;
  await pipeline(batches, detector.Score(metadata), async (answers) => {
    for await (const answer of answers) {
      events += answer.events;
      alerts.push(...answer.alerts);
    }
  });
  return { events, alerts };
}

function explain(alert) {
  return new Promise((resolve, reject) => {
    detector.Explain({ alert_id: alert.id, checks: true }, metadata, (error, explanation) =>
      error ? reject(error) : resolve(explanation),
    );
  });
}

try {
  const { events, alerts } = await send();
  console.log(`${events} events, ${alerts.length} alerts`);
  if (alerts.length) console.log(`\n${(await explain(alerts[0])).text}`);
} catch (error) {
  console.error(`offscript: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  detector.close();
}
