"""Results kept between runs, so that a long benchmark that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".work"


def fingerprint(patterns: Iterable[str]) -> str:
    """SHA-256 of the source files that match, by pattern under the repository's root."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in HERE.parent.glob(pattern)}):
        digest.update(str(path.relative_to(HERE.parent)).encode() + path.read_bytes())
    return digest.hexdigest()


def read_kept(path: Path, key: str) -> Any:
    """The JSON value that `path` keeps under this key; None where it has none, or another's."""
    if not path.exists():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    return known["value"] if known["key"] == key else None


def keep(path: Path, key: str, value: Any) -> None:
    """Write a JSON value all at once: a killed process leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"key": key, "value": value}), encoding="utf-8")
    partial.replace(path)
