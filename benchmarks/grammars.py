"""The rules that a card states, put to the test on networks whose rules are known.

For each event grammar (grammars_streams.py), at three levels of noise and from three seeds, a
network of the default preset is fitted to its streams and its card is read. `precision`: of the
rules in the card's JSON, those of the grammar; `recall`: of the grammar's rules that one event or
two can say, those in the card; `beyond`: rules stated of queries whose answer depends on more.
`answer_loss`: nats by which the network misses the grammar at its queries; `answer_entropy`: what
the grammar leaves open there.

Each rule that is rightly stated is put to a second test: the head named first for it brings only
what is usual after each event. `probability` is that of the rule's answers, `probability_left` that
without the head. `others_loss` is how far the log-odds of the other rules' answers move, as a share
of what the rule's own lose; `unnamed_loss` the same of rules that the card does not name this head
for. And by path: only the head's entry for the rule goes, what it reads of the rule's own event
becomes what is usual after each event, at all positions, and all else stays; `path_left` and
`path_others_loss` are `probability_left` and `others_loss` then. `role_named`: of the heads named
first for induction, those to which the card gives that role.

A value is taken on all seeds together, its interval the least and the largest of one of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..interpret.reading import read_model
from ..model.folder import Model
from ..training.side_by_side import side_by_side
from .grammars_judge import Ablated, ablations, answer_losses, draw_asked, saying_of
from .grammars_streams import GRAMMARS, Grammar
from .planted_model import fit_streams
from .results import FOLDER as RESULTS
from .results import Row, run_results, write_results

NOISE = (0.0, 0.1, 0.2)
SEEDS = (0, 1, 2)
STEPS = {"bigram": 100, "skip": 700, "induction": 1500, "count": 500, "conjunction": 500}
TARGETS = {
    "precision": 0.95,
    "recall": 0.95,
    "beyond": 0.0,
    "role_named": 1.0,
    "others_loss": 0.05,
    "unnamed_loss": 0.05,
    "path_others_loss": 0.05,
}
_STREAMS = 2_000
_HELD = 200  # of them
_ASKED = 100  # streams that heads are taken away on


@dataclass(frozen=True)
class Job:
    """One network: its grammar, by name, and how it is fitted."""

    name: str
    noise: float
    seed: int
    steps: int


@dataclass(frozen=True)
class Found:
    """One network and its card, judged."""

    planted: int  # rules that a card can state
    stated: int
    right: int
    beyond: int
    roles: tuple[bool, ...]  # of the heads named first for induction: whether the card says so
    ablated: tuple[Ablated, ...]
    answer_loss: float
    answer_entropy: float


def judge(job: Job) -> Found:
    """Fit a network, read its card, and put what the card says to the test."""
    grammar, rng = Grammar(GRAMMARS[job.name], job.noise), np.random.default_rng(job.seed)
    streams = [grammar.stream(rng)[0] for _ in range(_STREAMS)]
    with tempfile.TemporaryDirectory() as scratch:
        model = fit_streams(streams, Path(scratch), held=_HELD, steps=job.steps, seed=job.seed)
    return judge_model(model, grammar, rng)


def judge_model(model: Model, grammar: Grammar, rng: np.random.Generator) -> Found:
    """What the card of a network says, put to the test on streams that it has not seen."""
    card = read_model(replace(model, sha256="0" * 64)).to_json()
    asked = draw_asked(model, grammar, _ASKED, rng)
    ours, least = answer_losses(model, grammar, asked)
    planted = {saying for rule in grammar.rules for saying in rule.sayings()}
    beyond = {query for rule in grammar.rules if not rule.sayings() for query in rule.queries}
    stated = [saying_of(rule) for rule in card["rules"]]
    roles = {head["name"]: head["role"] for head in card["heads"]}
    inductive = {r["heads"][0]["event"] for r in card["rules"] if r["kind"] == "induction"}
    return Found(
        planted=len(planted),
        stated=len(stated),
        right=len(planted.intersection(stated)),
        beyond=sum(last in beyond for _, _, last, _ in stated),
        roles=tuple(roles[head] == "induction" for head in sorted(inductive)),
        ablated=tuple(ablations(model, card["rules"], grammar, asked)),
        answer_loss=float(ours.mean() - least.mean()),
        answer_entropy=float(least.mean()),
    )


# A measure as a sum of parts, and what it is a share of: the mean over networks has their weights.
Part = Callable[[Found], float]
MEASURES: dict[str, tuple[Part, Part]] = {
    "precision": (lambda f: f.right, lambda f: f.stated),
    "recall": (lambda f: f.right, lambda f: f.planted),
    "beyond": (lambda f: f.beyond, lambda _: 1.0),
    "role_named": (lambda f: sum(f.roles), lambda f: len(f.roles)),
    "probability": (lambda f: sum(a.probability for a in f.ablated), lambda f: len(f.ablated)),
    "probability_left": (lambda f: sum(a.left for a in f.ablated), lambda f: len(f.ablated)),
    "others_loss": (
        lambda f: sum(a.others for a in f.ablated),
        lambda f: sum(a.own for a in f.ablated),
    ),
    "path_left": (lambda f: sum(a.path_left for a in f.ablated), lambda f: len(f.ablated)),
    "path_others_loss": (
        lambda f: sum(a.path_others for a in f.ablated),
        lambda f: sum(a.path_own for a in f.ablated),
    ),
    "unnamed_loss": (
        lambda f: sum(a.unnamed for a in f.ablated if a.unnamed is not None),
        lambda f: sum(a.own for a in f.ablated if a.unnamed is not None),
    ),
    "answer_loss": (lambda f: f.answer_loss, lambda _: 1.0),
    "answer_entropy": (lambda f: f.answer_entropy, lambda _: 1.0),
}


def rows_of(dataset: str, found: Sequence[Found]) -> Iterator[Row]:
    """All measures that these networks have; a share is of their sums."""
    for measure, (part, whole) in MEASURES.items():
        having = [each for each in found if whole(each)]
        if having:
            each_value = [part(each) / whole(each) for each in having]
            sizes = [whole(each) for each in having]
            yield Row(
                dataset,
                "offscript",
                "tiny",
                measure,
                float(f"{sum(map(part, having)) / sum(sizes):.5g}"),
                min(each_value),
                max(each_value),
                len(having),
                TARGETS.get(measure),
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all networks, or those of some grammars, and write results/grammars.json."""
    parser = argparse.ArgumentParser(description="Cards of networks whose rules are known.")
    parser.add_argument("names", nargs="*", choices=[*GRAMMARS, []], help=", ".join(GRAMMARS))
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    jobs = [
        Job(name, noise, seed, STEPS[name])
        for name in options.names or GRAMMARS
        for noise in NOISE
        for seed in SEEDS
    ]
    found = side_by_side(judge, jobs, title="grammars", quiet=False)
    by_data: dict[str, list[Found]] = defaultdict(list)
    for job, each in zip(jobs, found, strict=True):
        by_data[f"{job.name}_{job.noise:g}"].append(each)
        by_data["all"].append(each)
    rows = [row for dataset, each in by_data.items() for row in rows_of(dataset, each)]
    results = run_results("grammars", rows, seed=0, seconds=time.perf_counter() - began)
    print(write_results(results, options.results))


if __name__ == "__main__":
    main()
