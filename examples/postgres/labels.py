"""What is known about a recording: which sessions were planted, and where its parts begin."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
STREAM_KEY = r"\[([0-9a-f]+\.[0-9a-f]+)\]"  # %c of log_line_prefix


@dataclass(frozen=True)
class Label:
    """One planted session. Lines count from 1."""

    stream: str
    kind: str
    what: str
    line: int  # of the first wrong event
    event: str  # that line
    cause_line: int | None  # of the earlier event that makes it wrong, if there is one
    cause: str | None  # that line


@dataclass(frozen=True)
class Part:
    """A part of the recording; a session belongs to the part that has its first line."""

    name: str  # train, calibrate or test
    first_line: int
    sessions: int
    planted: int


@dataclass(frozen=True)
class Split:
    """The three parts in order, and what made the recording."""

    server: str
    seed: int
    lines: int
    parts: tuple[Part, ...]

    def part(self, first_line: int) -> str:
        """The part of the session that begins at this line."""
        return [part.name for part in self.parts if part.first_line <= first_line][-1]


def write_labels(path: Path, labels: Sequence[Label]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(asdict(label)) + "\n" for label in labels))


def read_labels(path: Path = FOLDER / "labels.jsonl") -> list[Label]:
    """The planted sessions, in the order of their first wrong events."""
    return [Label(**json.loads(line)) for line in path.read_text().splitlines()]


def write_split(path: Path, split: Split) -> None:
    """One JSON object."""
    path.write_text(json.dumps(asdict(split), indent=2) + "\n")


def read_split(path: Path = FOLDER / "split.json") -> Split:
    """Where training, calibration and test begin."""
    value = json.loads(path.read_text())
    return Split(**{**value, "parts": tuple(Part(**part) for part in value["parts"])})


def lines_by_stream(lines: Sequence[str]) -> dict[str, list[int]]:
    """Session → its lines, counted from 1, without those that continue the line before."""
    key = re.compile(r"[-0-9]{10} [:.0-9]{12} UTC " + STREAM_KEY)
    streams: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        match = key.match(line)
        if match is not None:
            streams.setdefault(match[1], []).append(number)
    return streams
