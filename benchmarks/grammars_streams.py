"""Streams of event grammars: each keeps to a few known rules among noise, as often as is said.

Rules are of six kinds. `bigram`: an event follows another at once; `skip`: a query is answered
according to the one trigger before it, near or far; `induction`: after a query comes what had come
after it before, though other pairs came too. And three in which no earlier event alone makes the
answer likelier than not: `count`, the answer comes after four triggers or more; `both` and
`either`, after both of two triggers, or after exactly one of them.

Where no answer is due, and in a share `noise` of the cases where one is, noise comes instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_LENGTH = (14, 24)  # events of noise in a stream
_NOISE = tuple(f"noise {i}" for i in range(12))
_SHARES = 1.0 / (np.arange(len(_NOISE)) + 3.0)
_ASKED = 0.7  # share of skip queries that have a trigger
_PAIRS = 2  # of an induction rule in a stream
_MOST, _ENOUGH = 5, 4  # triggers of `count`
_PRESENT = {"both": 0.4, "either": 0.6}  # each trigger; with it 2 in 5 queries are answered
_SPREAD = 8.0  # events of noise among which several triggers lie

Saying = tuple[str, str | None, str, str | None]  # kind, earlier, last and following of a rule
Block = tuple[float, list[str], "tuple[Rule, str | None] | None"]  # place, events, what is due


@dataclass(frozen=True)
class Rule:
    """After a query, trigger i is answered by answer i if it came some `gap` events before.

    A bigram and `induction` have no triggers; what depends on several of them has one answer.
    """

    kind: str
    triggers: tuple[str, ...]
    queries: tuple[str, ...]
    answers: tuple[str, ...]
    gap: tuple[int, int] = (1, 8)

    def sayings(self) -> tuple[Saying, ...]:
        """What a card has to say of the rule: nothing where no single event makes the answer."""
        query = self.queries[0]
        if self.kind == "bigram":
            return (("bigram", None, query, self.answers[0]),)
        if self.kind == "skip":
            pairs = zip(self.triggers, self.answers, strict=True)
            return tuple(("skip-trigram", trigger, query, answer) for trigger, answer in pairs)
        if self.kind == "induction":
            return tuple(("induction", None, each, None) for each in self.queries)
        return ()

    def saying(self, query: str, answer: str) -> Saying | None:
        """The one of them that says this answer."""
        said = (each for each in self.sayings() if each[2] == query and each[3] in (answer, None))
        return next(said, None)


@dataclass(frozen=True)
class Answer:
    """What came after a query: its index, and the answer that was due, if one was."""

    rule: Rule
    at: int
    due: str | None


@dataclass(frozen=True)
class Grammar:
    """Rules, and the share of their answers that noise takes the place of."""

    rules: tuple[Rule, ...]
    noise: float

    def stream(self, rng: np.random.Generator) -> tuple[list[str], list[Answer]]:
        """A stream, and what came after its queries."""
        length = int(rng.integers(*_LENGTH))
        blocks: list[Block] = [(float(i), [_draw_noise(rng)], None) for i in range(length)]
        for rule in self.rules:
            blocks += self._blocks(rule, length, rng)
        events: list[str] = []
        answers = []
        for _, block, asked in sorted(blocks, key=lambda block: block[0]):
            events += block
            if asked is not None:
                answers.append(Answer(asked[0], len(events) - 1, asked[1]))
        return events, answers

    def _blocks(self, rule: Rule, length: int, rng: np.random.Generator) -> Iterator[Block]:
        """What a rule adds to a stream: what makes its answers, and queries with what follows."""
        if rule.kind == "induction":
            yield from self._repeated(rule, length, rng)
            return
        gap = rng.integers(rule.gap[0], rule.gap[1] + 1)
        place = rng.uniform(0, length - gap)
        came = _triggers(rule, rng)
        spread = _SPREAD if len(came) > 1 else 0.0
        for trigger in came:
            yield place - rng.uniform(0, spread), [rule.triggers[trigger]], None
        due = _due(rule, came)
        yield place + gap, [rule.queries[0], self._given(due, rng)], (rule, due)

    def _repeated(self, rule: Rule, length: int, rng: np.random.Generator) -> Iterator[Block]:
        """Pairs of query and answer, and as many queries of them, each of any of the pairs.

        Were each pair asked for once, or in the order in which they came, that would say the rest.
        """
        queries, answers = (
            rng.permutation(each)[:_PAIRS].tolist() for each in (rule.queries, rule.answers)
        )
        places = rng.uniform(0, length - rule.gap[1], size=_PAIRS)
        for pair in zip(places.tolist(), queries, answers, strict=True):
            yield pair[0], [*pair[1:]], None
        for chosen in rng.integers(_PAIRS, size=_PAIRS).tolist():
            place = places[chosen] + rng.uniform(*rule.gap)
            given = self._given(answers[chosen], rng)
            yield place, [queries[chosen], given], (rule, answers[chosen])

    def _given(self, due: str | None, rng: np.random.Generator) -> str:
        return due if due is not None and rng.random() >= self.noise else _draw_noise(rng)

    def surprisal(self, event: str, due: str | None) -> float:
        """−log p(event) after a query under the grammar, in nats."""
        if event == due:
            return -math.log1p(-self.noise)
        share = float(_SHARES[_NOISE.index(event)] / _SHARES.sum())
        return -math.log(share if due is None else self.noise * share)


def _draw_noise(rng: np.random.Generator) -> str:
    return _NOISE[int(rng.choice(len(_NOISE), p=_SHARES / _SHARES.sum()))]


def _triggers(rule: Rule, rng: np.random.Generator) -> list[int]:
    """The triggers that come before a query, by number."""
    if rule.kind == "bigram":
        return []
    if rule.kind == "skip":
        return [int(rng.integers(len(rule.triggers)))] if rng.random() < _ASKED else []
    if rule.kind == "count":
        return [0] * int(rng.integers(1, _MOST + 1))
    return np.flatnonzero(rng.random(len(rule.triggers)) < _PRESENT[rule.kind]).tolist()


def _due(rule: Rule, came: list[int]) -> str | None:
    """The answer that a query calls for after these triggers; None if it calls for none."""
    if rule.kind == "skip":
        return rule.answers[came[0]] if came else None
    enough = {
        "bigram": True,
        "count": len(came) >= _ENOUGH,
        "both": len(came) == 2,
        "either": len(came) == 1,
    }
    return rule.answers[0] if enough[rule.kind] else None


def _bigram(number: int) -> Rule:
    return Rule("bigram", (), (f"bigram {number} query",), (f"bigram {number} answer",))


def _skip(name: str, gap: tuple[int, int]) -> Rule:
    """The answers are those of every other such rule: the trigger alone does not say the query."""
    triggers = tuple(f"{name} trigger {i}" for i in range(3))
    return Rule("skip", triggers, (f"{name} query",), tuple(f"answer {i}" for i in range(3)), gap)


def _several(kind: str, triggers: int) -> Rule:
    names = tuple(f"{kind} trigger {i}" for i in range(triggers))
    return Rule(kind, names, (f"{kind} query",), (f"{kind} answer",))


_NEAR, _MIDDLE, _FAR = _skip("near", (1, 3)), _skip("middle", (5, 8)), _skip("far", (10, 13))
_QUERIES, _ANSWERS = (tuple(f"repeated {of} {i}" for i in range(4)) for of in ("query", "answer"))
_INDUCTION = Rule("induction", (), _QUERIES, _ANSWERS, gap=(3, 10))
GRAMMARS = {
    "bigram": tuple(_bigram(number) for number in range(4)),
    "skip": (_NEAR, _MIDDLE, _FAR),
    "induction": (_INDUCTION, _bigram(0), _NEAR),
    "count": (_several("count", 1), _bigram(0), _NEAR),
    "conjunction": (_several("both", 2), _several("either", 2), _bigram(0), _NEAR),
}
