"""Whether what Numba compiles can be kept on disk; where it cannot, kernels still have to run."""

from __future__ import annotations

import logging

from numba import njit

logger = logging.getLogger("offscript")


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
