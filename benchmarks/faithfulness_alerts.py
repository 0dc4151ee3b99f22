"""Real alerts: does what an explanation names decide the score, and is the cause among it?"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from ..examples.postgres.labels import FOLDER, lines_by_stream, read_labels
from ..interpret.explain import explain
from ..model.alert import Alert
from ..model.detector import Detector
from ..model.folder import Model
from ..model.logs import read_lines
from ..model.vocabulary import END
from ..service.messages import write_explanation
from ..training.held_out import Stream
from .attributions.question import Explained, Method, Question
from .attributions.replacement import replaced
from .faithfulness_measures import named

_DRAWS = 16
ONE_EVENT = ("event", "end")  # detectors whose statistic is the surprisal of one event


def alerts_of(model: Model, streams: Sequence[Stream]) -> list[Alert]:
    """Every alert that the served detectors raise on these streams; a stream is called by index."""
    detector = Detector(model)
    keys = [str(index) for index in range(len(streams))]
    pairs = list(zip(keys, streams, strict=True))
    owners = [key for key, stream in pairs for _ in stream.names]
    names = [name for stream in streams for name in stream.names]
    started = {key for key, stream in pairs if stream.started}
    found = detector.observe(owners, names, np.full(len(names), np.nan), started=started)
    ends = detector.end([key for key, stream in pairs if stream.ended])
    return [detector.alert(finding) for finding in [*found.findings, *ends.findings]]


def alert_of(question: Question) -> Alert:
    """The alert that a surprising event would raise, as far as its explanation asks for it."""
    tokens = (*question.tokens.tolist(), question.observed)
    unknown = (math.nan,) * len(tokens)
    return Alert(
        id="planted",
        model="",
        stream="",
        detector="end" if question.observed == END else "event",
        time=math.nan,
        first_seen=math.nan,
        last_seen=math.nan,
        count=1,
        score=math.nan,
        threshold=math.nan,
        statistic=math.nan,
        limit=math.nan,
        joined=False,
        position=len(tokens) - 1,
        surprisal=math.nan,
        entropy=math.nan,
        observed="",
        text=None,
        expected="",
        expected_probability=math.nan,
        tokens=tokens,
        times=unknown,
        lines=(None,) * len(tokens),
    )


def repaired(
    model: Explained, alerts: Sequence[Alert], methods: Mapping[str, Method]
) -> dict[str, float]:
    """The share of alerts that fall below their limit when at most three named are replaced.

    That is, when the first, the first two or the first three are, in the median over draws. The
    last event may be among them, the observed one may not.
    """
    found: dict[str, list[bool]] = {name: [] for name in methods}
    for number, alert in enumerate(alerts):
        question = Question.of_alert(model, alert)
        for name, method in methods.items():
            order = named(method(question))
            rng = np.random.default_rng(number)  # the same events, whoever names their places
            windows = np.concatenate(
                [
                    replaced(question, order[:size], rng, draws=_DRAWS)
                    for size in range(1, len(order) + 1)
                ]
            )
            median = np.median(question.surprisal_of(windows).reshape(-1, _DRAWS), axis=1)
            found[name].append(bool((median < alert.limit).any()))
    return {name: float(np.mean(each)) for name, each in found.items()}


def causes_named(model: Model, streams: Sequence[Stream], alerts: Sequence[Alert]) -> list[bool]:
    """Of each caught session of the recording whose cause is known: is it among the first three?

    Asked of the session's strongest alert, as an operator would; what spoke against is no cause.
    """
    strongest: dict[str, Alert] = {}
    for alert in alerts:
        key = streams[int(alert.stream)].key
        if key not in strongest or alert.score > strongest[key].score:
            strongest[key] = alert
    lines = lines_by_stream(list(read_lines([FOLDER / "recording.log.xz"])))
    found = []
    for label in read_labels():
        if label.stream in strongest and label.cause_line is not None:
            alert = strongest[label.stream]
            cause = bisect_left(lines[label.stream], label.cause_line)
            # Events are counted from 0; an end is one past the last.
            last = alert.position - (alert.tokens[-1] != END)
            explanation = explain(model, alert, checks=False)
            told = write_explanation(explanation, alert, model.vocabulary, ())
            if explanation.attributions:  # of an event that need not be the last one
                last -= len(alert.tokens) - 1 - explanation.attributions[0].index
            places = [last - piece.distance for piece in told.evidence if piece.value > 0.0]
            found.append(cause in places[:3])
    return found
