"""Files that a user names: logs, packed or not, labels, stream keys, tokens."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

from offscript.model.errors import OffscriptError
from offscript.model.logs import read_lines
from offscript.service.tokens import find_token, read_tokens
from offscript.training.corpus import read_ids, read_labels, read_sequences
from offscript.training.propose import discover, propose_stream_key

_TEXT = b'2026-03-02 12:00:00 session=0a open\n{"stream": "a", "label": 1}\na,1\n'
SEEDS = [
    b"\x00" + _TEXT,
    b"\x00" + gzip.compress(_TEXT, mtime=0),
    b"\x00" + bz2.compress(_TEXT),
    b"\x00" + lzma.compress(_TEXT),
    b"\x00" + _TEXT.decode().encode("utf-16"),
    b'\x01{"stream": "a", "label": 0}\nplain\nb,1\n{"id": [1]}',
    b'\x02{"stream": "a", "label": "1"}\nBlockId,Label\nblk_1,Normal\n{"id": 1}',
    b'\x03{"id": 1, "events": ["a"], "t": [1], "label": 1, "split": "train"}',
    b"\x04me send,read 0123456789abcdef0123456789abcdef\n# a comment\n",
    b'\x05{"id": 1, "kind": "x", "time": "2026-03-02T12:00:00Z", "user": {"name": "u"}}\n' * 3,
]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Reads a file of the kind that the first byte says."""
    path = folder / "file"
    path.touch(0o600)

    def read(given: bytes) -> None:
        kind = given[0] % 6 if given else 0
        path.write_bytes(given[1:])
        try:
            if kind == 4:
                find_token(read_tokens(path), given.decode(errors="surrogateescape"))
                return
            lines = list(read_lines([path]))
            if kind == 1:
                read_ids(lines)
            elif kind == 2:
                read_labels(lines)
            elif kind == 3:
                read_sequences(lines)
            elif kind == 5:
                events = discover(lines)
                if events.format != "sequences":
                    propose_stream_key(lines, events)
        except OffscriptError:
            """That is the answer to a file that cannot be read."""

    return read
