"""A model's folder under watch: tells when another model lies there, whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from ..model.folder import FILES, MANIFEST

_SECONDS = 2.0  # between two looks
Files = tuple[tuple[int, ...], ...]


async def watch(path: Path, known: Files | None, changed: Callable[[], Awaitable[bool]]) -> None:
    """Call `changed` when the files at `path` are others than those known, until it says that all
    is done.

    They are when they have been the same for two looks: one that is being copied is not whole yet.
    """
    last = known
    while True:
        await asyncio.sleep(_SECONDS)
        now = await asyncio.to_thread(look, path)
        if now is not None and now == last and now != known and await changed():
            known = now
        last = now


def look(path: Path) -> Files | None:
    """What tells files apart without reading them; None if some are not there."""
    try:
        stats = [(path / name).stat() for name in (MANIFEST, *FILES)]
    except OSError:
        return None
    return tuple((s.st_dev, s.st_ino, s.st_mtime_ns, s.st_size) for s in stats)
