"""What happens to a service while it works: kills, reloads, more than it can take, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from ..model.errors import OffscriptError
from ..model.folder import load_model, save_model
from ..protos import detector_pb2 as pb
from ..protos.detector_pb2_grpc import DetectorStub
from ..service.client import Client
from .replay_server import Service
from .serving_grpc import latencies, named, rows_per_second
from .serving_traffic import Piece

Found = Iterator[tuple[str, float, int, float | None]]  # measure, value, of how many, target

_SIZE = 256  # events of a batch
_CALL_SECONDS = 60.0
_REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


def killed(service: Service, coming: Iterator[Piece], rounds: int) -> Found:
    """SIGKILL at random moments under load, and a start at once; the client sends again what was
    not acknowledged. `alerts_lost`: of those that came with an acknowledgement, no longer listed.
    """
    acknowledged: set[str] = set()
    events = 0

    def heard(reply: pb.ScoreBatch) -> None:
        nonlocal events
        events += reply.events
        acknowledged.update(alert.id for alert in reply.alerts)

    sent, kills, starts = 0, 0, list[float]()
    rng = np.random.default_rng(0)
    with Client(service.address, acknowledged=heard, waiting=lambda _: None) as client:
        kill_at = time.perf_counter() + 1.0
        for piece in coming:
            rows = zip(piece.stream, piece.name, piece.time.tolist(), strict=True)
            for stream, name, moment in rows:
                client.event(name, stream=stream, time=moment)
            sent += len(piece)
            if time.perf_counter() < kill_at:
                continue
            service.kill()
            began = time.perf_counter()
            service.start()
            starts.append(time.perf_counter() - began)
            kills += 1
            if kills == rounds:
                break
            kill_at = time.perf_counter() + float(rng.uniform(0.2, 2.0))
        client.flush()
        listed = {alert.id for alert in client.alerts()}
    yield "alerts_lost", float(len(acknowledged - listed)), len(acknowledged), 0.0
    yield "events_lost", float(sent - min(sent, events)), sent, 0.0
    yield "start_seconds", float(np.median(starts)), kills, None


def reloaded(
    service: Service, coming: Iterator[Piece], paths: Sequence[Path], *, times: int, rate: float
) -> Found:
    """One model in place of the other, again and again, at `rate` events a second."""
    failed = carried = left = 0
    over = threading.Event()

    def change() -> None:
        nonlocal failed, carried, left
        with Client(service.address) as client:
            for turn in range(times):
                try:
                    done = client.reload(paths[(turn + 1) % len(paths)])
                    carried, left = carried + done.carried, left + done.left
                except OffscriptError as error:
                    print(f"  {error}", flush=True)
                    failed += 1
        over.set()

    taken: list[float] = []
    with ThreadPoolExecutor(1) as side:
        changes = side.submit(change)
        while not over.is_set():
            batches = [named(piece) for piece in islice(coming, int(2.0 * rate / _SIZE))]
            try:
                taken += latencies(service.address, batches, rate=rate / _SIZE).tolist()
            except grpc.RpcError as error:
                print(f"  {error}", flush=True)
                failed += 1
        changes.result()
    yield "failed_calls", float(failed), times + len(taken), 0.0
    yield "carried_share", carried / max(1, carried + left), carried + left, None
    yield "latency_p99_ms", 1e3 * float(np.percentile(taken, 99.0)), len(taken), 250.0


def twin(path: Path, folder: Path) -> Path:
    """The same model under another fingerprint, so that a reload has something to do."""
    model = load_model(path)
    save_model(replace(model, summary={**model.summary, "twin": True}), folder)
    return folder


def overloaded(service: Service, coming: Iterator[Piece], *, times: float, seconds: float) -> Found:
    """Calls that are due at `times` the speed that the service takes, whatever comes back.

    `goodput_share`: events that were scored meanwhile, of those that it scores without pauses.
    `recovery_seconds`: from the last call until one takes a tenth of a second or less again.
    """
    capacity = rows_per_second(service.address, [named(p) for p in islice(coming, 1000)])
    batches = [named(piece) for piece in islice(coming, int(times * capacity * seconds / _SIZE))]
    taken: list[float] = []
    refused, failed = 0, 0
    lock = threading.Lock()
    with grpc.insecure_channel(service.address) as channel:
        stub = DetectorStub(channel)
        calls = []
        codes: dict[Any, int] = {}

        def answered(call: Any, due: float) -> None:
            nonlocal refused, failed
            code = call.code()
            with lock:
                if code == grpc.StatusCode.OK:
                    taken.append(time.perf_counter() - due)
                elif code in _REFUSED:
                    refused += 1
                else:
                    failed += 1
                    codes[code] = codes.get(code, 0) + 1

        began = time.perf_counter()
        for at, batch in enumerate(batches):
            due = began + at * _SIZE / (times * capacity)
            time.sleep(max(0.0, due - time.perf_counter()))
            if time.perf_counter() > began + seconds:
                break
            call = stub.ScoreOnce.future(batch, timeout=_CALL_SECONDS)
            call.add_done_callback(partial(answered, due=due))
            calls.append(call)
        flooded = time.perf_counter()
        scored = len(taken) * _SIZE / (flooded - began)
        while True:
            asked = time.perf_counter()
            try:
                stub.ScoreOnce(batches[0], timeout=_CALL_SECONDS)
                if time.perf_counter() - asked <= 0.1:
                    break
            except grpc.RpcError:
                time.sleep(0.05)
        recovered = time.perf_counter() - flooded
        for call in calls:
            call.exception()
    print(f"  failed: {codes}", flush=True)
    offered = len(calls)
    yield "offered_times_capacity", offered * _SIZE / (flooded - began) / capacity, offered, None
    yield "refused_share", refused / offered, offered, None
    yield "failed_calls", float(failed), offered, 0.0
    yield "goodput_share", scored / capacity, len(taken), 0.8
    yield "latency_p99_ms", 1e3 * float(np.percentile(taken or [np.nan], 99.0)), len(taken), None
    yield "recovery_seconds", recovered, 1, 2.0


def drained(service: Service, coming: Iterator[Piece], *, streams: int) -> Found:
    """SIGTERM with so many calls open, each with a batch now and then until it is told to stop."""
    told = sent = acknowledged = 0
    lock = threading.Lock()
    ready = threading.Barrier(streams + 1)
    pieces = [named(piece) for piece in islice(coming, streams)]

    def call(batch: pb.EventBatch) -> None:
        nonlocal told, sent, acknowledged
        stop = threading.Event()

        def requests() -> Iterator[pb.EventBatch]:
            nonlocal sent
            while not stop.is_set():
                with lock:
                    sent += 1
                yield batch
                stop.wait(0.2)

        with grpc.insecure_channel(service.address) as channel:
            waiting = True
            for reply in DetectorStub(channel).Score(requests()):
                if reply.HasField("drain"):
                    told += 1
                    stop.set()
                else:
                    acknowledged += 1
                if waiting:
                    waiting = False
                    ready.wait(_CALL_SECONDS)

    with ThreadPoolExecutor(streams) as threads:
        calls = [threads.submit(call, batch) for batch in pieces]
        ready.wait(_CALL_SECONDS)
        began = time.perf_counter()
        service.stop()
        took = time.perf_counter() - began
        errors = [error for one in calls if (error := one.exception()) is not None]
        failed = len(errors)
        for error in errors[:1]:
            print(f"  {error!r}", flush=True)
    yield "told_share", told / streams, streams, 1.0
    yield "unacknowledged", float(sent - acknowledged), sent, 0.0
    yield "failed_calls", float(failed), streams, 0.0
    yield "exit_seconds", took, 1, 11.0
