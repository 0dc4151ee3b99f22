"""The service at work: batches over gRPC from one process to another, and how long each waits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import grpc
import numpy as np
from jaxtyping import Float64

from ..protos import detector_pb2 as pb
from ..protos.detector_pb2_grpc import DetectorStub
from .serving_traffic import Piece


def named(piece: Piece) -> pb.EventBatch:
    """The piece as columns with dictionaries."""
    streams = dict.fromkeys(piece.stream)
    names = dict.fromkeys(piece.name)
    stream_at = {key: at for at, key in enumerate(streams)}
    name_at = {name: at for at, name in enumerate(names)}
    micros = np.round(piece.time * 1e6).astype(np.int64)
    return pb.EventBatch(
        streams=list(streams),
        stream_ix=[stream_at[key] for key in piece.stream],
        names=list(names),
        name_ix=[name_at[name] for name in piece.name],
        base_time_micros=int(micros[0]),
        time_delta_micros=np.diff(micros, prepend=micros[0]).tolist(),
    )


def raw(lines: Sequence[str], size: int) -> list[pb.EventBatch]:
    """Raw lines, `size` at a time."""
    return [pb.EventBatch(lines=lines[at : at + size]) for at in range(0, len(lines), size)]


def bearer(token: str) -> tuple[tuple[str, str], ...] | None:
    """What a call says of who makes it; nothing without a token."""
    return (("authorization", f"Bearer {token}"),) if token else None


def rows_per_second(address: str, batches: Sequence[pb.EventBatch]) -> float:
    """As fast as the service takes them, to the last acknowledgement."""
    rows = sum(len(batch.lines) or len(batch.name_ix) for batch in batches)
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as at:
        began = time.perf_counter()
        answered = sum(1 for _ in DetectorStub(at).Score(iter(batches)))
        took = time.perf_counter() - began
    if answered != len(batches):
        raise RuntimeError(f"{len(batches)} batches sent, {answered} acknowledged")
    return rows / took


def latencies(
    address: str, batches: Sequence[pb.EventBatch], *, rate: float, token: str = ""
) -> Float64[np.ndarray, " batches"]:
    """Seconds from when each batch was due to its acknowledgement; `rate`: batches a second.

    Due at fixed times, whatever has come back (an open loop), so that waiting is measured too.
    """
    due = np.arange(len(batches)) / rate
    taken = np.zeros(len(batches))
    start = 0.0

    def requests() -> Iterator[pb.EventBatch]:
        nonlocal start
        start = time.perf_counter()
        for batch, moment in zip(batches, due.tolist(), strict=True):
            wait = start + moment - time.perf_counter()
            if wait > 0.0:
                time.sleep(wait)
            yield batch

    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as at:
        for index, _ in enumerate(DetectorStub(at).Score(requests(), metadata=bearer(token))):
            taken[index] = time.perf_counter() - start - due[index]
    return taken
