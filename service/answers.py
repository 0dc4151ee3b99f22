"""Answers to come, in the order in which they were asked for, each as soon as it is there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from ..model.errors import StoreError
from .engine import Engine

_PATIENCE_SECONDS = 5.0  # that an answer waits for the store before it asks how that is
_AHEAD = 64  # batches of one stream under way

Answer = TypeVar("Answer")


def _as_it_is(came: Any) -> Any:
    return came


class _Expected(NamedTuple):
    future: Future[Any]
    write: Callable[[Any], Any]  # what comes of it → the answer
    since: float  # by the event loop's clock


class Answers(Generic[Answer]):
    """Those of one call, with `room` for what is under way. All but `_tell` is for the event loop's
    thread.

    Before each of its steps a loop lets go of the interpreter's lock, and whoever scores may keep
    it for a while. So no batch wakes the loop but the one whose answer is the next, and from there
    it is one step to whoever sends that.
    """

    def __init__(self, engine: Engine) -> None:
        self.room = asyncio.Semaphore(_AHEAD)
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Expected] = deque()
        self._look = asyncio.Event()

    def expect(self, future: Future[Any], write: Callable[[Any], Any] = _as_it_is) -> None:
        """What comes of this is to be answered: an error is the last answer, and so is None."""
        self._queue.append(_Expected(future, write, self._loop.time()))
        if len(self._queue) == 1:
            self._listen()

    def say(self, answer: Answer | Exception | None) -> None:
        """This is an answer, or what there is in place of one."""
        future: Future[Any] = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        self.expect(future)

    async def next(self) -> Answer | None:
        """The next answer; StoreError if it waits for a store that fails."""
        while not (self._queue and self._queue[0].future.done()):
            late = self._loop.call_later(_PATIENCE_SECONDS, self._look.set)
            try:
                await self._look.wait()
            finally:  # also where the call is given up: the loop would keep it for so long
                late.cancel()
            self._look.clear()
            self._check_store()
        first = self._queue.popleft()
        if self._queue:
            self._listen()
        answer: Answer | None = first.write(first.future.result())
        return answer

    async def only(self, future: Future[Any], write: Callable[[Any], Any] = _as_it_is) -> Answer:
        """The answer of a call that has one."""
        self.expect(future, write)
        answer = await self.next()
        assert answer is not None, "whatever comes of it is an answer"
        return answer

    def _listen(self) -> None:
        """Be woken when the first one is there."""
        future = self._queue[0].future
        if future.done():  # as most are where several batches were scored at a time
            self._look.set()
        else:
            future.add_done_callback(self._tell)

    def _tell(self, _: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and so have all calls
            self._loop.call_soon_threadsafe(self._look.set)

    def _check_store(self) -> None:
        error = self._engine.store_error
        if error is None or not self._queue or self._queue[0].future.done():
            return
        if self._loop.time() - self._queue[0].since >= _PATIENCE_SECONDS:
            raise StoreError(str(error))
