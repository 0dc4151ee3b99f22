"""A model's folder under watch: tells when another model lies there, whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from ..model.folder import FILES, MANIFEST

_SECONDS = 2.0  # between two looks
_LONGEST_SECONDS = 60.0  # the same, where it was in vain for long
Files = tuple[tuple[int, ...], ...]


async def watch(
    path: Path, known: Files | None, changed: Callable[[bool], Awaitable[bool]]
) -> None:
    """Call `changed` when the files at `path` are others than those known, until it says that all
    is done, each time after a longer pause; it is told whether it was called for these before.

    They are when they have been the same for two looks: one that is being copied is not whole yet.
    """
    last, tried, pause = known, None, _SECONDS
    while True:
        await asyncio.sleep(pause)
        now = await asyncio.to_thread(look, path)
        if now is None or now != last or now == known:
            pause = _SECONDS
        elif await changed(now == tried):
            known, pause = now, _SECONDS
        else:
            tried, pause = now, min(2.0 * pause, _LONGEST_SECONDS)
        last = now


def look(path: Path) -> Files | None:
    """What tells files apart without reading them; None if some are not there."""
    try:
        stats = [(path / name).stat() for name in (MANIFEST, *FILES)]
    except OSError:
        return None
    return tuple((s.st_dev, s.st_ino, s.st_mtime_ns, s.st_size) for s in stats)
