"""What Numba compiles is kept on disk where it can be; where it cannot, kernels still run."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache
from pathlib import Path

from numba import njit

logger = logging.getLogger("offscript")

_SOURCES = ("*kernels.py", "simd.py", "tables.py")


def forget_outdated(folder: Path) -> None:
    """Remove what was compiled before a kernel's source changed.

    Numba compares what it kept with the file of the kernel that is called, and would go on with
    old versions of those in other files that are compiled into it.
    """
    sources = [path for pattern in _SOURCES for path in folder.glob(pattern)]
    with suppress(OSError):  # another process may be faster, or nothing may be written here
        newest = max(path.stat().st_mtime for path in sources)
        for kept in (folder / "__pycache__").glob("*.nb[ic]"):
            if kept.stat().st_mtime <= newest:
                kept.unlink()


@cache  # it is said once, whoever asks
def can_keep() -> bool:
    """Whether Numba finds a folder to write to: ours, the user's, or NUMBA_CACHE_DIR."""
    try:
        njit(cache=True)(lambda: None)
    except RuntimeError:
        logger.warning(
            "no folder can be written to that would keep the compiled kernels, so each start takes "
            "half a minute; name one in NUMBA_CACHE_DIR"
        )
        return False
    return True
