"""`offscript` with a leak planted in its scorer: what the soak's slope must find."""

from __future__ import annotations

import sys

from offscript.cli import main
from offscript.service.shard import Shard
from offscript.service.ticket import Part

_kept: list[bytes] = []
_put = Shard.put


def _leaking(self: Shard, part: Part) -> None:
    _kept.append(bytes(8 * len(part.rows)))
    _put(self, part)


if __name__ == "__main__":
    Shard.put = _leaking  # type: ignore[method-assign] # that is the leak
    sys.exit(main())
