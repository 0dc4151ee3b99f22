"""Callers that misbehave: they give up, connect anew, never read, send too much."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

import grpc
import numpy as np
import psutil

from ..protos import detector_pb2 as pb
from ..protos.detector_pb2_grpc import DetectorStub
from .replay_server import Service
from .serving_grpc import bearer, latencies, named
from .serving_traffic import Piece
from .soak_faults import Found, dealt

_SIZE = 256  # events of a batch
_WARM = 500  # calls before memory is looked at
_SETTLE_SECONDS = 2.0
_AT_REST = 20.0  # percent of a core
_HEALTHY = 20_000.0  # events a second of one who behaves
_AHEAD = 150  # batches that one who never reads would send at least
_BURST_SECONDS = 20.0  # until a sender has used up what it may send at once
_PACED_SECONDS = 10.0  # of one who keeps to a rate …
_SHARE = 6  # … and has one in so many of the batches
_FRESH = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own


def cancelled(service: Service, coming: Iterator[Piece], calls: int) -> Found:
    """Calls that are opened, used once and given up."""
    process, batch = psutil.Process(service.pid), _one_event(coming)

    def call(stub: DetectorStub) -> None:
        over = threading.Event()

        def requests() -> Iterator[pb.EventBatch]:
            yield batch
            over.wait()

        answers = stub.Score(requests())
        next(iter(answers))
        answers.cancel()
        over.set()

    with grpc.insecure_channel(service.address) as channel:
        stub = DetectorStub(channel)
        for _ in range(_WARM):
            call(stub)
        files, memory = process.num_fds(), process.memory_info().rss
        for _ in range(calls):
            call(stub)
        time.sleep(_SETTLE_SECONDS)
        grown = process.memory_info().rss - memory
    yield "bytes_a_call", grown / calls, calls, 512.0
    yield "files_left", float(process.num_fds() - files), calls, 0.0


def connected(service: Service, coming: Iterator[Piece], connections: int) -> Found:
    """Connections that are made, used once and closed."""
    process, batch = psutil.Process(service.pid), _one_event(coming)

    def connect() -> None:
        with grpc.insecure_channel(service.address, options=_FRESH) as channel:
            DetectorStub(channel).ScoreOnce(batch)

    for _ in range(_WARM):
        connect()
    files, memory = process.num_fds(), process.memory_info().rss
    began = time.perf_counter()
    for _ in range(connections):
        connect()
    took = time.perf_counter() - began
    time.sleep(_SETTLE_SECONDS)
    yield "rss_growth_mb", (process.memory_info().rss - memory) / 1e6, connections, 2.0
    yield "files_left", float(process.num_fds() - files), connections, 0.0
    yield "connections_per_second", connections / took, connections, None


def unread(service: Service, coming: Iterator[Piece], *, readers: int, seconds: float) -> Found:
    """Clients that ask for the surprisal of every event and never read an answer; another beside
    them that does, and how much longer it waits than before.
    """
    process, rate = psutil.Process(service.pid), _HEALTHY / _SIZE
    turn = int(seconds * rate)
    queues = dealt(islice(coming, readers * _AHEAD), readers)
    own = [named(piece) for piece in islice(coming, 2 * turn)]
    before = latencies(service.address, own[:turn], rate=rate)
    memory = process.memory_info().rss
    for batch in chain.from_iterable(queues):
        batch.want_scores = True
    channels = [grpc.insecure_channel(service.address, options=_FRESH) for _ in queues]
    calls = [
        DetectorStub(channel).Score(iter(batches))
        for channel, batches in zip(channels, queues, strict=True)
    ]
    while process.cpu_percent(_SETTLE_SECONDS) > _AT_REST:
        """What they could send before they were held back is scored."""
    beside = latencies(service.address, own[turn:], rate=rate)
    grown = process.memory_info().rss - memory
    for call, channel in zip(calls, channels, strict=True):
        call.cancel()
        channel.close()
    ratio = float(np.percentile(beside, 99.0) / np.percentile(before, 99.0))
    yield "mb_a_reader", grown / 1e6 / readers, readers, 6.0
    yield "latency_p99_ratio", ratio, len(beside), 2.0


def limited(
    service: Service, coming: Iterator[Piece], tokens: Sequence[str], *, rate: float
) -> Found:
    """The first of two senders sends all that it can, past its limit; the other one, at `rate`
    events a second, and what it comes to as a share of what it does alone.
    """
    greedy, modest = tokens
    turn = int(_PACED_SECONDS * rate / _SIZE)
    own, *floods = dealt(islice(coming, 2 * _SHARE * turn), _SHARE)
    alone = latencies(service.address, own[:turn], rate=rate / _SIZE, token=modest)
    with grpc.insecure_channel(service.address, options=_FRESH) as channel:
        answers = DetectorStub(channel).Score(chain.from_iterable(floods), metadata=bearer(greedy))
        got = [0]

        def read() -> None:
            with suppress(grpc.RpcError):  # it is given up in the end
                for _ in answers:
                    got[0] += 1

        reading = threading.Thread(target=read)
        reading.start()
        time.sleep(_BURST_SECONDS)
        begun, began = got[0], time.perf_counter()
        beside = latencies(service.address, own[turn:], rate=rate / _SIZE, token=modest)
        flooded = (got[0] - begun) * _SIZE / (time.perf_counter() - began)
        answers.cancel()
        reading.join()
    seconds = [len(taken) * _SIZE / rate + float(taken[-1]) for taken in (alone, beside)]
    p99 = [1e3 * float(np.percentile(taken, 99.0)) for taken in (alone, beside)]
    yield "others_share", seconds[0] / seconds[1], len(beside), 0.9
    yield "latency_p99_ms", p99[1], len(beside), None
    yield "latency_p99_ratio", p99[1] / p99[0], len(beside), 2.0
    yield "events_per_second", flooded, got[0] - begun, None


def _one_event(coming: Iterator[Piece]) -> pb.EventBatch:
    return named(Piece(["probe"], next(coming).name[:1], np.array([1.7e9])))
