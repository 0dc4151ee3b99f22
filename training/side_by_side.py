"""Independent fits, each in a process of its own on a core of its own.

Two threads in one fit are 1.7 times as fast on an idle machine and many times slower on a busy one
(docs/log.md); two fits need nothing of one another.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from loky import get_reusable_executor
from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")

# A fit that takes memory is no leak, for which a worker would be begun anew, with a warning.
_UNWATCHED = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
# That they wait for another training of this process, as imports take seconds. On a busy machine a
# job may be twenty seconds on its way to them.
_IDLE_SECONDS = 100


def side_by_side(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, title: str, quiet: bool
) -> list[Result]:
    """`work` of each job, in the order of the jobs; work, jobs and results must be picklable."""
    workers = min(len(jobs), len(os.sched_getaffinity(0)))
    if workers < 2:
        return [work(job) for job in jobs]
    # One that gives up waiting just when jobs come is replaced by another, and nothing is lost.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    # Started afresh: in a forked process a lock that a thread of this one holds just now would stay
    # locked for ever. Unlike those of the standard library they do not run the user's script again.
    pool = get_reusable_executor(
        workers,
        timeout=_IDLE_SECONDS,
        env=_UNWATCHED,
        initializer=_end_with,
        initargs=(os.getpid(),),
    )
    # A terminal's Ctrl-C comes to all processes. Workers inherit that it is not for them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        results = pool.map(work, jobs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        return list(tqdm(results, total=len(jobs), desc=title, unit="fit", disable=quiet))
    except BaseException:
        # Nobody wants the other results; Python would wait for them at its end.
        pool.shutdown(kill_workers=True)
        raise


def _end_with(parent: int) -> None:
    """Have this worker killed when the process that began it ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os.kill(os.getpid(), signal.SIGKILL)
    # The lock that it would make is a semaphore, and a worker that is killed leaves it behind.
    tqdm.set_lock(threading.RLock())
