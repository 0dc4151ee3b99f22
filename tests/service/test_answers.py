"""Answers come in their order, as soon as those before them are there, and wake nobody in vain."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from offscript.model.errors import InputError, StoreError
from offscript.service.answers import Answers
from offscript.service.engine import Engine
from offscript.tests.service.engines import Service, raw
from offscript.tests.service.test_full_disk import full_disk

Lines = Callable[..., list[str]]


@pytest.fixture
def engine(service: Service) -> Engine:
    return service.engine()


def doubled(value: int) -> int:
    return 2 * value


def test_an_answer_waits_for_those_before_it(engine: Engine) -> None:
    async def ask() -> list[int | None]:
        answers: Answers[int] = Answers(engine)
        futures: list[Future[Any]] = [Future() for _ in range(3)]
        for future in futures:
            answers.expect(future, doubled)
        answers.say(None)
        futures[2].set_result(3)
        futures[1].set_result(2)
        first = asyncio.create_task(answers.next())
        await asyncio.sleep(0.05)
        assert not first.done()
        await asyncio.to_thread(futures[0].set_result, 1)  # as a thread that scores does
        return [await first, *[await answers.next() for _ in range(3)]]

    assert asyncio.run(ask()) == [2, 4, 6, None]


def test_the_loop_is_woken_by_the_next_answer_alone(engine: Engine) -> None:
    async def ask() -> list[int]:
        woken: list[object] = []
        answers: Answers[int] = Answers(engine)
        futures: list[Future[Any]] = [Future() for _ in range(9)]
        for future in futures:
            answers.expect(future)
        with pytest.MonkeyPatch.context() as patch:
            loop = asyncio.get_running_loop()
            patch.setattr(loop, "call_soon_threadsafe", woken.append)
            for future in reversed(futures[1:]):
                future.set_result(0)
            for_others = len(woken)
            futures[0].set_result(0)
        return [for_others, len(woken)]

    assert asyncio.run(ask()) == [0, 1]


def test_who_gives_up_leaves_nothing_with_the_loop(engine: Engine) -> None:
    async def ask() -> object:
        answers: Answers[int] = Answers(engine)
        waiting = asyncio.create_task(answers.next())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        left = weakref.ref(answers._look)
        del answers, waiting
        gc.collect()
        return left()

    assert asyncio.run(ask()) is None


def test_what_went_wrong_is_raised_in_its_turn(engine: Engine) -> None:
    async def ask() -> int | None:
        answers: Answers[int] = Answers(engine)
        future: Future[Any] = Future()
        answers.expect(future, doubled)
        answers.say(InputError("no such thing"))
        await asyncio.to_thread(future.set_result, 1)
        first = await answers.next()
        with pytest.raises(InputError, match="no such thing"):
            await answers.next()
        return first

    assert asyncio.run(ask()) == 2


def test_who_waits_for_a_store_that_fails_is_told_so_and_not_before_some_time(
    service: Service, session: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offscript.service.answers._PATIENCE_SECONDS", 0.5)
    engine = service.engine()
    first = engine.submit(raw(session("0f", odd=True))).result(30).alerts[0]

    async def ask() -> float:
        loop = asyncio.get_running_loop()
        answers: Answers[Any] = Answers(engine)
        began = loop.time()
        answers.expect(engine.submit(raw(session("0b", odd=True))))
        with pytest.raises(StoreError, match="full"):
            await answers.next()
        return loop.time() - began

    with full_disk(service.store, first.alert):
        waited = asyncio.run(ask())

    assert waited >= 0.5
