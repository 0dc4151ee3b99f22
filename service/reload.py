"""Another model in the place of the one that serves: read, checked, tried, and only then taken."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..model.errors import InputError, ModelError, OffscriptError, OverloadError
from ..model.folder import Model
from .audit import LOCAL, Deed
from .carry import Carried
from .engine import Engine
from .served import Served
from .store import Store
from .trial import check, read_folder

logger = logging.getLogger("offscript")

_LONGEST = 4096  # characters of a path

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Reloaded:
    """What came of it; the same model twice: nothing was to be done."""

    sha256: str
    before: str
    carried: Carried
    tried: int  # events that came last

    def __str__(self) -> str:
        return (
            f"tried on the last {self.tried:,} events: {self.carried.streams:,} streams go on, "
            f"{self.carried.left:,} count as joined in the middle"
        )


class Reloader:
    """Changes the models of an engine, once at a time, on a thread of its own: those that wait for
    their turn hold up nothing else. `paths` are where the service was told to find them, by name.
    """

    def __init__(self, paths: Mapping[str, Path], engine: Engine, store: Store) -> None:
        self._paths = paths
        self._engine = engine
        self._store = store
        self._wrong: dict[str, str] = {}  # with the model of each name, the last time
        self._turns = ThreadPoolExecutor(1, "reload")

    async def reload(
        self,
        name: str = "",
        path: Path | None = None,
        *,
        who: str = LOCAL,
        again: bool = False,
    ) -> Reloaded:
        """Serve under this name (or the default one) the model that is at `path` now, or where the
        service was told to find it.

        Whatever is wrong with it, the one that serves goes on, and the error is one line. `again`:
        what is wrong is not told again where it is what was wrong the last time.
        """
        served = self._engine.of(name)
        try:
            place = path or self._paths[served.name]
            turn = self._turns.submit(self._serve, served, place, who, again)
        except RuntimeError:  # closed
            raise OverloadError("the service stops", retry_seconds=1.0) from None
        return await asyncio.wrap_future(turn)

    def close(self) -> None:
        """Let what is under way come to its end, and begin nothing more."""
        self._turns.shutdown(cancel_futures=True)

    def _serve(self, served: Served, place: Path, who: str, again: bool) -> Reloaded:
        before, metrics = served.model, served.metrics
        name = f"{served.name}: " if served.name else ""
        try:
            done = self._reload(served, place, before)
        except OffscriptError as error:
            told = f"{name}the model at {place} is not taken, {before.sha256[:12]} goes on serving"
            if not again or self._wrong.get(served.name) != str(error):
                logger.warning("%s: %s", told, error)
                self._engine.note(Deed(time.time(), who, "reload", told))
            self._wrong[served.name] = str(error)
            metrics.reloads["refused"].inc()
            raise
        if done.sha256 == before.sha256:
            held = f"{place} holds the model that serves already, {done.sha256[:12]}"
            logger.info("%s%s", name, held)
            metrics.reloads["unchanged"].inc()
        else:
            told = f"{name}serving {place}, model {done.sha256[:12]} in place of {done.before[:12]}"
            logger.info("%s, %s", told, done)
            self._engine.note(Deed(time.time(), who, "reload", told))
            metrics.reloads["loaded"].inc()
        return done

    def _reload(self, served: Served, path: Path, before: Model) -> Reloaded:
        model, files = _without_surprise(path, lambda: read_folder(path))
        if model.sha256 == before.sha256:
            return Reloaded(model.sha256, before.sha256, Carried(0, 0), 0)
        recent = served.recent.batches()
        trial = _without_surprise(path, lambda: check(model, before, recent))
        try:
            self._store.keep_model(model.sha256, files)
            carried = _without_surprise(path, lambda: served.change(model).result())
        except BaseException:
            self._store.release_model(model.sha256)
            raise
        # Alerts of the model before need its files still, and nothing else of it: tables are large.
        sha256 = before.sha256
        self._engine.when_stored(lambda: self._store.release_model(sha256))
        served.metrics.loaded(model)
        return Reloaded(model.sha256, before.sha256, carried, trial.events)


def read_path(text: str) -> Path | None:
    """Where a caller says that a model is; None if it says nothing."""
    if not text:
        return None
    if not text.startswith("/") or not text.isprintable() or len(text) > _LONGEST:
        raise InputError(
            "expected the absolute path of a model folder on the service's machine, got "
            f"{text[:64]!r}"
        )
    return Path(text)


def _without_surprise(path: Path, work: Callable[[], Answer]) -> Answer:
    """What a folder may hold that passes all checks and yet fails is an error of the folder."""
    try:
        return work()
    except OffscriptError:
        raise
    except Exception as error:
        logger.exception("the model at %s failed", path)
        raise ModelError(f"the model at {path} fails: {error!r}; train again") from error
