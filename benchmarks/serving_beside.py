"""The scorer beside its peers, and the parser beside its own: in one run, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from ..model.folder import Model
from ..model.scorer import KNOWN_BYTES
from .environment import NoEnvironmentError, environment
from .results import Row, row_of_turns
from .serving_detectmate import DETECTORS, INTERPRETERS, REQUIREMENTS, player
from .serving_lines import learned, matched_per_second, parsed_per_second, texts_of
from .serving_onnx import windowed as onnx_windowed
from .serving_peers import Step, deeplog, events_per_second, incremental, windowed
from .serving_river import half_space_trees
from .serving_scorer import alone
from .serving_traffic import Recorded

PEERS: dict[str, Callable[[Model], Step]] = {
    "torch_window": windowed,
    "torch_incremental": incremental,
    "torch_deeplog": deeplog,
    "onnx_window": onnx_windowed,
    "river_half_space_trees": half_space_trees,
}
PEER_TARGETS = {
    "torch_window": 100.0,
    "torch_incremental": 20.0,
    "onnx_window": 10.0,
    **{f"detectmate_{detector}": 50.0 for detector in DETECTORS},
}
TURNS = 3
STEPS = 20  # events of each stream in a peer's turn
LINES = 50_000  # of the set, for the parsers


def beside(source: Recorded, model: Model, setting: str, *, events: int) -> Iterator[Row]:
    """What one would take instead, and the scorer once more, turn by turn."""
    data = f"{source.name}_1k_streams"
    ours: dict[int, list[float]] = {KNOWN_BYTES: [], 0: []}
    with ExitStack() as players:
        turn_of: dict[str, Callable[[], float]] = {
            name: partial(events_per_second, make(model), model, source, steps=STEPS)
            for name, make in PEERS.items()
        }
        turn_of |= detectmate(source, players)
        theirs: dict[str, list[float]] = {name: [] for name in turn_of}
        for _ in range(TURNS):
            for known_bytes in ours:
                turn = alone(source, model, 1_000, turns=1, events=events, known_bytes=known_bytes)
                ours[known_bytes] += turn.speeds
            for name, play in turn_of.items():
                theirs[name].append(play())
    for name, speeds in theirs.items():
        yield row_of_turns(data, name, setting, "events_per_second", speeds)
        for measure, turns in zip(
            ("times_theirs", "times_theirs_computed"), ours.values(), strict=True
        ):
            ratios = [our / their for our, their in zip(turns, speeds, strict=True)]
            target = PEER_TARGETS.get(name) if measure == "times_theirs" else None
            yield row_of_turns(data, name, setting, measure, ratios, target)


def detectmate(source: Recorded, players: ExitStack) -> dict[str, Callable[[], float]]:
    """A turn of each of DetectMate's detectors; none where it cannot be had."""
    try:
        python = environment(REQUIREMENTS, INTERPRETERS)
    except NoEnvironmentError as error:
        print(f"  without DetectMate: {error}", flush=True)
        return {}
    return {
        f"detectmate_{detector}": players.enter_context(
            player(python, detector, source)
        ).events_per_second
        for detector in DETECTORS
    }


def parsers(source: Recorded, model: Model, setting: str) -> Iterator[Row]:
    """Our parser on the set's lines, and drain3, turn by turn."""
    if source.lines is None:
        return
    data, lines = f"{source.name}_lines", source.lines[:LINES]
    texts = texts_of(model, lines)
    miner = learned(texts)
    ours, theirs = list[float](), list[float]()
    for _ in range(TURNS):
        ours.append(parsed_per_second(model, lines))
        theirs.append(matched_per_second(miner, texts))
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    yield row_of_turns(data, "offscript", setting, "lines_per_second", ours)
    yield row_of_turns(data, "drain3", setting, "lines_per_second", theirs)
    yield row_of_turns(data, "drain3", setting, "times_theirs", ratios)
