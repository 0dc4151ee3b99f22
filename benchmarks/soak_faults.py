"""What happens to a service while it works: kills, reloads, more than it can take, its end."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

import grpc
import numpy as np

from ..examples.postgres.server import Server
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
_UNKNOWN = 16  # events in a stream of their own, of each batch
_PAUSE_SECONDS = 1.0  # between two batches of one of many calls
_REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


def _give(client: Client, piece: Piece, number: int) -> int:
    """Send a piece, and a stream of its own that raises an alert; how many events that are."""
    for stream, name, moment in zip(piece.stream, piece.name, piece.time.tolist(), strict=True):
        client.event(name, stream=stream, time=moment)
    last = float(piece.time[-1])
    for at in range(_UNKNOWN):
        client.event("unknown", stream=f"odd {number}", time=last, started=not at)
    return len(piece) + _UNKNOWN


def killed(service: Service, coming: Iterator[Piece], rounds: int) -> Found:
    """SIGKILL at random moments under load, and a start at once; the client sends again what was
    not acknowledged. `alerts_lost`: of those that came with an acknowledgement, no longer listed.

    With each piece goes a stream of unknown events, as hardly anything would be stored without.
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
            sent += _give(client, piece, sent)
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


def away(service: Service, coming: Iterator[Piece], server: Server, seconds: float) -> Found:
    """PostgreSQL ends at once under load, and starts again after so many seconds.

    Events acknowledged a second in as long before, meanwhile, and in as long after; alerts lost as
    in `killed`; `recovery_seconds`: from when the server answers until the next acknowledgement.
    """
    heard = list[tuple[float, int]]()
    acknowledged: set[str] = set()
    over = threading.Event()

    def hear(reply: pb.ScoreBatch) -> None:
        heard.append((time.perf_counter(), reply.events))
        acknowledged.update(alert.id for alert in reply.alerts)

    def take_away() -> tuple[float, float]:
        time.sleep(seconds)
        gone = time.perf_counter()
        server.stop(signal.SIGQUIT)
        time.sleep(seconds)
        server.start()
        back = time.perf_counter()
        time.sleep(seconds)
        over.set()
        return gone, back

    sent = 0
    with (
        Client(service.address, acknowledged=hear, waiting=lambda _: None) as client,
        ThreadPoolExecutor(1) as side,
    ):
        times = side.submit(take_away)
        for piece in coming:
            if over.is_set():
                break
            sent += _give(client, piece, sent)
        client.flush()
        listed = {alert.id for alert in client.alerts()}
    gone, back = times.result()
    first = min(at for at, _ in heard if at > back)

    def rate(begin: float, end: float) -> float:
        return sum(events for at, events in heard if begin < at <= end) / (end - begin)

    events = sum(events for _, events in heard)
    yield "alerts_lost", float(len(acknowledged - listed)), len(acknowledged), 0.0
    yield "events_lost", float(sent - min(sent, events)), sent, 0.0
    yield "events_per_second", rate(gone - seconds, gone), sent, None
    yield "events_per_second_away", rate(gone, back), sent, None
    yield "events_per_second_after", rate(first, back + seconds), sent, None
    yield "recovery_seconds", first - back, 1, 5.0


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


def overloaded(service: Service, coming: Iterator[Piece], *, senders: int, seconds: float) -> Found:
    """So many clients that each send without a pause what one alone has the service busy with.

    `goodput_share`: events a second that were acknowledged, of those of one client; `latency` of
    another client's single calls meanwhile, of which some may be refused; `recovery_seconds`: from
    the last batch until one of them takes a tenth of a second or less again.
    """
    capacity = rows_per_second(service.address, [named(p) for p in islice(coming, 1000)])
    queues = dealt(islice(coming, int(1.5 * capacity * seconds / _SIZE)), senders)
    probe = named(Piece(["probe"], next(coming).name[:1], np.array([1.7e9])))
    taken, refused, acknowledged = list[float](), 0, 0
    lock = threading.Lock()
    over = time.perf_counter() + seconds

    def flood(batches: Sequence[pb.EventBatch]) -> None:
        nonlocal acknowledged
        with grpc.insecure_channel(service.address) as channel:
            until = takewhile(lambda _: time.perf_counter() < over, batches)
            for _ in DetectorStub(channel).Score(until):
                if time.perf_counter() < over:
                    with lock:
                        acknowledged += 1

    with grpc.insecure_channel(service.address) as channel, ThreadPoolExecutor(senders) as threads:
        stub = DetectorStub(channel)
        began = time.perf_counter()
        floods = [threads.submit(flood, batches) for batches in queues]
        recovered = math.nan
        while math.isnan(recovered):
            asked = time.perf_counter()
            try:
                stub.ScoreOnce(probe, timeout=_CALL_SECONDS)
            except grpc.RpcError as error:
                if error.code() not in _REFUSED:
                    raise
                refused += 1
            else:
                taken.append(time.perf_counter() - asked)
                if asked > over and taken[-1] <= 0.1:
                    recovered = time.perf_counter() - over
            time.sleep(0.1)
        failed = [fault for one in floods if (fault := one.exception()) is not None]
    for fault in failed[:1]:
        print(f"  {fault}", flush=True)
    goodput = acknowledged * _SIZE / (over - began) / capacity
    yield "goodput_share", goodput, acknowledged, 0.8
    yield "failed_calls", float(len(failed)), senders, 0.0
    yield "refused_share", refused / (refused + len(taken)), refused + len(taken), None
    yield "latency_p99_ms", 1e3 * float(np.percentile(taken, 99.0)), len(taken), None
    yield "recovery_seconds", recovered, 1, 2.0


def dealt(pieces: Iterable[Piece], senders: int) -> list[list[pb.EventBatch]]:
    """The batches of each sender; a stream is always with one and the same."""
    rows: list[list[tuple[str, str, float]]] = [[] for _ in range(senders)]
    for piece in pieces:
        for row in zip(piece.stream, piece.name, piece.time.tolist(), strict=True):
            rows[int(row[0].partition(".")[0]) % senders].append(row)
    queues = []
    for own in rows:
        cuts = [own[at : at + _SIZE] for at in range(0, len(own), _SIZE)]
        columns = [list(zip(*cut, strict=True)) for cut in cuts]
        queues.append([named(Piece([*s], [*n], np.array(t))) for s, n, t in columns])
    return queues


def drained(service: Service, coming: Iterator[Piece], *, streams: int) -> Found:
    """SIGTERM with so many calls open, each with a batch now and then until it is told to stop."""
    told = sent = acknowledged = 0
    lock = threading.Lock()
    ready = threading.Barrier(streams + 1)

    def call() -> None:
        nonlocal told, sent, acknowledged
        stop = threading.Event()

        def requests() -> Iterator[pb.EventBatch]:
            nonlocal sent
            while not stop.is_set():
                with lock:
                    batch = named(next(coming))
                    sent += 1
                yield batch
                stop.wait(_PAUSE_SECONDS)

        with grpc.insecure_channel(service.address) as channel:
            waiting = True
            for reply in DetectorStub(channel).Score(requests()):
                with lock:
                    told += reply.HasField("drain")
                    acknowledged += not reply.HasField("drain")
                if reply.HasField("drain"):
                    stop.set()
                if waiting:
                    waiting = False
                    ready.wait(_CALL_SECONDS)

    with ThreadPoolExecutor(streams) as threads:
        calls = [threads.submit(call) for _ in range(streams)]
        ready.wait(_CALL_SECONDS)
        time.sleep(_PAUSE_SECONDS)
        began = time.perf_counter()
        service.stop()
        took = time.perf_counter() - began
        errors = [error for one in calls if (error := one.exception()) is not None]
    for error in errors[:1]:
        print(f"  {error}", flush=True)
    yield "told_share", told / streams, streams, 1.0
    yield "unacknowledged", float(sent - acknowledged), sent, 0.0
    yield "failed_calls", float(len(errors)), streams, 0.0
    yield "exit_seconds", took, 1, 11.0
