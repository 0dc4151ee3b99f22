"""Model folders: any change of a file whose sum the manifest gives, as its maker could write it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from offscript.model.detector import Detector
from offscript.model.errors import OffscriptError
from offscript.model.folder import FILES, MANIFEST, model_files, model_from_files
from offscript.service.messages import write_model

_CHANGED = (*FILES, MANIFEST)
SEEDS = [
    *(bytes([number]) + b'{"a": [1, null, "x"]}' for number in range(len(_CHANGED))),
    *(bytes([number, 128, 3, 0, 7, 9]) for number in range(len(_CHANGED))),
]


def prepare(model: Path, folder: Path) -> Callable[[bytes], None]:
    """Puts the input in the place of a file, or some of its values in that of the file's."""
    files = model_files(model)

    def changed(name: str, edits: bytes) -> bytes:
        if edits[:1] < b"\x80":
            return edits
        if name.endswith(".safetensors"):
            data = bytearray(files[name])
            for at in range(1, len(edits) - 2, 3):
                data[int.from_bytes(edits[at : at + 2], "little") % len(data)] = edits[at + 2]
            return bytes(data)
        value = json.loads(files[name])
        for at in range(1, len(edits) - 1, 2):
            by = json.loads(_VALUES[edits[at + 1] % len(_VALUES)])
            _replace(value, edits[at], by)
        return json.dumps(value).encode()

    def load(given: bytes) -> None:
        name = _CHANGED[given[0] % len(_CHANGED) if given else 0]
        content = {**files, name: changed(name, given[1:])}
        if name != MANIFEST:
            manifest = json.loads(files[MANIFEST])
            manifest["sha256"][name] = hashlib.sha256(content[name]).hexdigest()
            content[MANIFEST] = json.dumps(manifest).encode()
        try:
            found = model_from_files(content)
            detector = Detector(found, max_streams=8, live_bytes=1 << 20, known_bytes=1 << 16)
        except OffscriptError:
            return
        names = [*found.vocabulary.names[4:8], None]
        detector.observe(["a"] * len(names), names, np.full(len(names), np.nan))
        detector.end(["a"])
        write_model(found, "", name="", served=[""])

    return load


# As JSON, so that each is one of its own.
_VALUES = ["null", "true", "-1", "0", str(1 << 70), "Infinity", "NaN", '""', '"x"', "[]", "{}"]
_VALUES += ["[[]]", '"("', "2.5"]


def _replace(value: Any, at: int, by: Any) -> None:
    """Put a value in the place of one within another; the bits of `at` say where."""
    while value:
        inner = list(value) if isinstance(value, dict) else range(len(value))
        key = inner[at % len(inner)]
        if not isinstance(value[key], dict | list) or at & 64:
            value[key] = by
            return
        value, at = value[key], at * 5 + 1
