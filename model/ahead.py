"""Lines read as events by other processes, ahead of the one that scores them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice

from .coded import Coded
from .errors import OffscriptError
from .event import EventParser, Parsed

_ALONE = 8  # chunks before it is worth while to start processes
_AHEAD = 2  # chunks that wait for each process, so that it never waits for us
_MOST = 4  # processes; they read faster than one can score

_parser: EventParser  # of a process that reads


def parsed(
    parser: EventParser, chunks: Iterable[Sequence[str]], *, processes: int | None = None
) -> Generator[tuple[Sequence[str], Parsed], None, None]:
    """Each chunk of lines with its events, in order; few chunks are in memory at a time.

    `processes`: how many read (one for each core, if there are several); with none it is done here,
    and so are the first chunks, as most logs are short. Time stamps that depend on the one before
    are left to a single process. OffscriptError if one is killed.
    """
    coming = iter(chunks)
    if processes is None:
        cores = len(os.sched_getaffinity(0))
        processes = min(_MOST, cores) if cores > 1 else 0
    alone = islice(coming, _ALONE if processes else None)
    for chunk in alone:
        yield chunk, parser.parse(chunk)
    first = next(coming, None)
    if first is None:
        return
    if parser.depends_on_the_line_before:
        processes = 1
    # A forked process would take over locks as other threads hold them just now.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _begin, (parser,))
    waiting: deque[tuple[Sequence[str], Future[Parsed]]] = deque()
    try:
        waiting.append((first, pool.submit(_parse, first)))
        for chunk in coming:
            waiting.append((chunk, pool.submit(_parse, chunk)))
            if len(waiting) > _AHEAD * processes:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    except BrokenProcessPool as error:
        raise OffscriptError(
            "a process that reads lines was killed; is there enough memory?"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _next(
    waiting: deque[tuple[Sequence[str], Future[Parsed]]],
) -> tuple[Sequence[str], Parsed]:
    chunk, future = waiting.popleft()
    return chunk, future.result()


def _begin(parser: EventParser) -> None:
    global _parser  # noqa: PLW0603 - what a process is started with is kept for all its chunks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that scores stops us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _parser = parser


def _end_with_parent() -> None:
    """End when the one that scores has, which cannot stop us if it is killed itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "we were started by it"
    parent.join()
    os._exit(1)


def _parse(chunk: Sequence[str]) -> Parsed:
    """The events, each text once, as texts are what takes time on the way."""
    parsed = _parser.parse(chunk)
    return replace(parsed, stream=Coded.compact(parsed.stream), name=Coded.compact(parsed.name))
