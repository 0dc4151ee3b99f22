"""Streams of planted rules, and anomalies that break one of them, so that the cause is known.

Among noise a stream keeps to rules of five kinds: `bigram`, one event follows another at once;
`near` and `far`, a query is answered according to the last trigger, a few or many events before it,
and by noise where there was none; `mode`, by what the stream began with; `induction`, after an
event comes what had come after it before. A trigger is answered once, so that nothing but it says
the answer. What misleads: triggers that a later one overrules, answers that rules have in common,
and noise with habits of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("bigram", "near", "far", "mode", "induction")
CHANGES = ("substituted", "missing", "extra")
_GAPS = {"near": (1, 4), "far": (8, 20), "mode": (4, 30), "induction": (3, 16)}
_NOISE = (26, 38)  # events of noise in a stream
_TRIGGERED = 0.7  # share of near and far queries that have a trigger
_OVERRULED = 0.5  # share of those with another trigger before
_HABIT = 0.5  # share of noise that follows from the noise before


@dataclass(frozen=True)
class Rule:
    """After `queries`, trigger i is answered by answer i; `bigram` has no trigger."""

    kind: str
    triggers: tuple[str, ...]
    queries: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Where a stream keeps to a rule: indexes of the answer and of the event that calls for it."""

    rule: Rule
    at: int
    cause: int


@dataclass(frozen=True)
class Anomaly:
    """A stream up to the event that breaks a rule, and the earlier event that makes it wrong."""

    rule: Rule
    change: str
    events: tuple[str, ...]
    cause: int


def rules(size: int) -> tuple[Rule, ...]:
    """The rules that a vocabulary of `size` events has room for; at least a third is noise."""
    variants = 2 if size < 50 else 4
    wanted = ["bigram", "near", "induction"] if size < 50 else [*KINDS]
    if size >= 100:
        wanted += ["bigram", "near", "far"]
    made = []
    for number, kind in enumerate(wanted):
        name = f"{kind}{number}"
        many = tuple(range(variants))
        if kind == "bigram":
            made.append(Rule(kind, (), (f"{name} query",), (f"{name} answer",)))
        elif kind == "induction":
            queries = tuple(f"{name} query {i}" for i in many)
            answers = tuple(f"{name} answer {i}" for i in many)
            made.append(Rule(kind, answers, queries, answers))
        else:
            triggers = tuple(f"{name} trigger {i}" for i in many)
            made.append(
                Rule(kind, triggers, (f"{name} query",), tuple(f"answer {i}" for i in many))
            )
    return tuple(made)


@dataclass(frozen=True)
class Grammar:
    """Rules, and how often each event of noise comes."""

    rules: tuple[Rule, ...]
    noise: tuple[str, ...]

    @classmethod
    def of(cls, size: int) -> Grammar:
        made = rules(size)
        used = {name for r in made for name in (*r.triggers, *r.queries, *r.answers)}
        return cls(made, tuple(f"noise {i}" for i in range(size - len(used))))

    def draw_noise(self, rng: np.random.Generator) -> int:
        share = 1.0 / (np.arange(len(self.noise)) + 3.0)
        return int(rng.choice(len(self.noise), p=share / share.sum()))

    def stream(self, rng: np.random.Generator) -> tuple[list[str], list[Answer]]:
        """A normal stream, and where it keeps to which rule."""
        length = int(rng.integers(*_NOISE))
        placed: list[tuple[float, list[str], tuple[Rule, bool] | None]] = []
        noise = self.draw_noise(rng)
        for place in range(length):
            follows = rng.random() < _HABIT
            noise = (noise + 1) % len(self.noise) if follows else self.draw_noise(rng)
            placed.append((float(place), [self.noise[noise]], None))
        for rule in self.rules:
            placed += _blocks(rule, length, rng)
        placed.sort(key=lambda block: block[0])
        events: list[str] = []
        causes: dict[Rule, int] = {}
        answers = []
        for _, block, of in placed:
            events += block
            if of is None:
                continue
            rule, answering = of
            if not answering:
                causes[rule] = len(events) - 1
            elif rule.kind == "bigram" or rule in causes:
                at = len(events) - 1
                answers.append(Answer(rule, at, causes.get(rule, at - 1)))
        return events, answers


def _blocks(
    rule: Rule, length: int, rng: np.random.Generator
) -> Iterator[tuple[float, list[str], tuple[Rule, bool]]]:
    """What a rule adds to a stream: events that stay together, and where among the noise.

    With each its rule, and whether its last event is an answer (else a trigger).
    """
    query = rule.queries[int(rng.integers(len(rule.queries)))]
    chosen = int(rng.integers(len(rule.answers)))
    if rule.kind == "bigram":
        yield rng.uniform(0, length), [query, rule.answers[0]], (rule, True)
        return
    first, last = _GAPS[rule.kind]
    gap = rng.integers(first, last + 1)
    place = -1.0 if rule.kind == "mode" else rng.uniform(0, length - gap)
    if rule.kind == "induction":
        yield place, [query, rule.answers[chosen]], (rule, False)
    elif rule.kind == "mode" or rng.random() < _TRIGGERED:
        yield place, [rule.triggers[chosen]], (rule, False)
        if rule.kind != "mode" and rng.random() < _OVERRULED:
            overruled = rule.triggers[int(rng.integers(len(rule.triggers)))]
            yield place - rng.uniform(1, 8), [overruled], (rule, False)
    else:
        # Nobody asked for an answer: the query is followed by whatever comes.
        yield place + gap, [query], (rule, True)
        return
    yield place + gap, [query, rule.answers[chosen]], (rule, True)


def anomalies(grammar: Grammar, rng: np.random.Generator, *, each: int) -> Iterator[Anomaly]:
    """`each` anomalies of every rule.

    What is missing or comes on top tells nothing of the trigger where a query always has an answer:
    there only answers are substituted.
    """
    for rule in grammar.rules:
        changes = CHANGES if rule.kind in ("bigram", "near", "far") else CHANGES[:1]
        for number in range(each):
            yield _anomaly(grammar, rule, changes[number % len(changes)], rng)


def _anomaly(grammar: Grammar, rule: Rule, change: str, rng: np.random.Generator) -> Anomaly:
    while True:
        events, answers = grammar.stream(rng)
        found = [answer for answer in answers if answer.rule == rule]
        if found and found[0].at + 1 < len(events):
            break
    at = found[0].at
    if change == "missing":
        wrong = events[at + 1]
    elif change == "extra" or rule.kind == "bigram":
        wrong = grammar.noise[grammar.draw_noise(rng)]
    else:
        wrong = str(rng.choice([answer for answer in rule.answers if answer != events[at]]))
    return Anomaly(rule, change, (*events[:at], wrong), found[0].cause)
