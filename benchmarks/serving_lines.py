"""Raw lines as events: our parser, and a tree of drain3 that has learned the same lines.

Both match what they have learned and add nothing to it. The parser takes the lines as they are, in
pieces; drain3, set up as it comes, only what is left of them once their time stamps and stream keys
are out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig

from ..model.event import EventParser
from ..model.folder import Model

_PIECE = 1024  # lines


def parsed_per_second(model: Model, lines: Sequence[str]) -> float:
    """Events that the parser makes of these lines in a second."""
    parser = EventParser(model.config.events, model.templates)
    began, events = time.perf_counter(), 0
    for at in range(0, len(lines), _PIECE):
        events += len(parser.parse(lines[at : at + _PIECE]).line)
    return events / (time.perf_counter() - began)


def texts_of(model: Model, lines: Sequence[str]) -> list[str]:
    """What templates are made of: the lines that are events, without time stamp and stream key."""
    return EventParser(model.config.events, model.templates).texts(lines)


def learned(texts: Sequence[str]) -> TemplateMiner:
    """A tree that has seen each of them."""
    miner = TemplateMiner(config=TemplateMinerConfig())
    for text in texts:
        miner.add_log_message(text)
    return miner


def matched_per_second(miner: TemplateMiner, texts: Sequence[str]) -> float:
    """Texts whose template is found in a second."""
    began = time.perf_counter()
    for text in texts:
        miner.match(text)
    return len(texts) / (time.perf_counter() - began)
