"""Explanations put to the test where the cause is known, beside other ways to attribute.

`planted`: ten networks of the default preset, two each of 20 to 500 events, fitted to streams that
keep to planted rules (planted.py); rules that a network did not learn are left out, and counted in
`rules_learned`. A value is the mean over networks, its interval the least and the largest.
`card_seconds`: CPU time of the page of a card of one of the largest.
`handmade`: a network whose weights are written by hand, with `exact_error`, the mean share by which
the value of the cause misses what the weights say. Real sets:
`repaired_at_3`, how often an alert of one event falls below its limit when at most the first three
named events are replaced; `milliseconds_named`, the CPU time until they are named; `cause_at_3` of
the recording, the true cause among the first three pieces of evidence of what was caught.
`completeness` is the largest error of an explanation, of real sets among up to 100 alerts of each
detector. faithfulness_measures.py has the rest, and faithfulness_changes.py those of
`counterfactual`, which names what would have been normal. Alerts of events that training has never
shown (`_unseen`) are told from the others (`_seen`) too.

Each part is kept in benchmarks/.work until the sources that it depends on change.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..interpret.card_page import card_page
from ..interpret.explain import explain
from ..interpret.reading import read_model
from ..model.alert import Alert
from ..model.folder import Model
from ..model.vocabulary import END, NEW, START
from .attributions import METHODS, SLOW, Explained, Question
from .data import data_folder
from .datasets import load
from .faithfulness_alerts import ONE_EVENT, alert_of, alerts_of, causes_named, repaired
from .faithfulness_changes import answer_times, changed
from .faithfulness_measures import Case, Judged, judge
from .faithfulness_timing import SIZES as TIMED
from .faithfulness_timing import milliseconds, timings
from .handmade import WORTH, broken_repetitions, induction
from .kept import FOLDER as WORK
from .kept import fingerprint, keep, read_kept
from .kept_models import model_of
from .labelled import read_dataset
from .planted import Grammar, Rule, anomalies
from .planted_model import fit_planted
from .results import FOLDER as RESULTS
from .results import Row, run_results, write_results

PARTS = ("planted", "handmade", "timing", "postgres", "hdfs_deeplog", "adfa_ld")
SIZES = (20, 50, 100, 200, 500)
TARGETS = {
    "completeness": 1e-9,
    "hit_at_1": 0.95,
    "hit_at_3": 0.99,
    "replacement_pearson": 0.85,
    "randomised_spearman": 0.1,
    "repaired_at_3": 0.8,
    "cause_at_3": 0.9,
    "milliseconds": 10.0,
    "milliseconds_checked": 60.0,
    "milliseconds_searched": 60.0,
    "times_shap": 100.0,
    "card_seconds": 30.0,
}
_OF = {  # sources of a part, besides those of all
    "planted": ("benchmarks/planted*.py", "benchmarks/faithfulness_measures.py"),
    "handmade": ("benchmarks/handmade.py", "benchmarks/faithfulness_measures.py"),
    "timing": ("benchmarks/faithfulness_timing.py",),
}
_OF_REAL = (
    "benchmarks/faithfulness_alerts.py",
    "benchmarks/faithfulness_changes.py",
    "benchmarks/faithfulness_timing.py",
    "benchmarks/datasets.py",
    "benchmarks/labelled.py",
)
_EACH = 6  # anomalies of a rule
_LEARNED = 0.9  # share of a rule's answers that come first in the prediction
_TRIED = 200  # normal streams that it is taken on
_ALERTS = 100  # of a detector in a real set, drawn at random
_SLOW = 20  # one of so many anomalies is put to the slow methods too


def planted(size: int, seed: int) -> tuple[Model, list[Case], float]:
    """A network, what breaks the rules that it learned, and those rules' share."""
    grammar = Grammar.of(size)
    with tempfile.TemporaryDirectory() as scratch:
        model = fit_planted(grammar, Path(scratch), seed=seed)
    rng = np.random.default_rng([seed, 1])
    learned = _learned(model, grammar, rng)
    explained = Explained.of(model)
    cases = []
    for anomaly in anomalies(grammar, rng, each=_EACH):
        if anomaly.rule in learned:
            tokens = np.array([START, *model.vocabulary.ids(anomaly.events)])
            question = Question(explained, tokens[:-1], int(tokens[-1]))
            groups = (anomaly.rule.kind, anomaly.change)
            cases.append(Case(question, anomaly.cause + 1, groups))
    return model, cases, len(learned) / len(grammar.rules)


def _card(model: Model) -> str:
    return card_page(read_model(model))


def _learned(model: Model, grammar: Grammar, rng: np.random.Generator) -> set[Rule]:
    explained = Explained.of(model)
    right: dict[Rule, list[bool]] = defaultdict(list)
    for _ in range(_TRIED):
        events, answers = grammar.stream(rng)
        ids = np.array([START, *model.vocabulary.ids(events)])
        predicted = Question(explained, ids, END).activations.logits.argmax(axis=1)
        for answer in answers:
            right[answer.rule].append(predicted[answer.at] == ids[answer.at + 1])
    return {rule for rule, found in right.items() if np.mean(found) >= _LEARNED}


def planted_rows() -> Iterator[Row]:
    """All networks together, and by kind of rule and of change."""
    by_network: dict[tuple[str, str], list[float]] = defaultdict(list)
    by_group: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    asked: dict[str, int] = defaultdict(int)
    errors: list[float] = []
    for seed, size in enumerate(2 * SIZES):
        model, cases, learned = planted(size, seed)
        _say(f"planted, {size} events: {learned:.0%} of the rules learned")
        by_network["offscript", "rules_learned"].append(learned)
        if seed == len(SIZES) - 1:
            took = milliseconds(partial(_card, model)) / 1e3
            yield _row(f"card_v{size}", "offscript", "card_seconds", [took])
        errors += [explain(model, alert_of(case.question)).completeness_error for case in cases]
        for judged in (
            judge(cases, METHODS, seed=seed),
            judge(cases[::_SLOW], SLOW, seed=seed),
        ):
            for method, values in judged.measures().items():
                _say(f"  {method}: " + ", ".join(f"{m} {v:.3f}" for m, v in values.items()))
                asked[method] += len(judged.cases)
                for measure, value in values.items():
                    by_network[method, measure].append(value)
            _add_groups(by_group, judged)
    by_network["offscript", "completeness"].append(max(errors))
    for (method, measure), by_seed in by_network.items():
        yield _row("planted", method, measure, by_seed, asked[method])
    for (group, method, measure), hits in by_group.items():
        yield _row(f"planted_{group}", method, measure, [float(np.mean(hits))], len(hits))


def _add_groups(by_group: dict[tuple[str, str, str], list[bool]], judged: Judged) -> None:
    """Sort hits by kind of rule and of change."""
    for method, found in judged.by_method.items():
        for case, first, third in zip(judged.cases, found.hit_at_1, found.hit_at_3, strict=True):
            for group in case.groups:
                by_group[group, method, "hit_at_1"].append(first)
                by_group[group, method, "hit_at_3"].append(third)


def handmade_rows() -> Iterator[Row]:
    """The network written by hand; what repeats speaks for itself with WORTH nats."""
    pairs = broken_repetitions(induction(), 100)
    judged = judge([Case(*pair) for pair in pairs], METHODS, seed=0)
    for method, values in judged.measures().items():
        found = judged.by_method[method]
        causes = [v[case.cause] for v, case in zip(found.values, judged.cases, strict=True)]
        if method not in ("rollout", "value_norm", "chance"):  # their numbers are no nats
            values["exact_error"] = float(np.mean(np.abs(np.array(causes) - WORTH))) / WORTH
        for measure, value in values.items():
            yield _row("handmade", method, measure, [value], len(pairs), "by hand")


def real_rows(name: str, data: Path) -> tuple[list[Row], float]:
    """One real set: its alerts explained; and the seconds that keeping its model has saved."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        dataset = read_dataset(load(name, data, scratch), scratch)
        began = time.perf_counter()
        model = model_of(dataset)
        waited = time.perf_counter() - began
    setting = f"tiny {model.sha256[:12]}"
    alerts = alerts_of(model, dataset.test)
    by_detector: dict[str, list[Alert]] = defaultdict(list)
    for index in np.random.default_rng(0).permutation(len(alerts)).tolist():
        if len(found := by_detector[alerts[index].detector]) < _ALERTS:
            found.append(alerts[index])
    rows = []
    for detector, found in by_detector.items():
        worst = max(explain(model, alert, checks=False).completeness_error for alert in found)
        rows.append(
            _row(f"{name}_{detector}", "offscript", "completeness", [worst], len(found), setting)
        )
    asked = [alert for detector in ONE_EVENT for alert in by_detector[detector]]
    unseen = [alert for alert in asked if alert.tokens[-1] == NEW]
    seen = [alert for alert in asked if alert.tokens[-1] != NEW]
    for group, found in ((name, asked), (f"{name}_unseen", unseen), (f"{name}_seen", seen)):
        if found:
            rows += _one_event_rows(group, model, found, setting)
    if name == "postgres":
        causes = causes_named(model, dataset.test, alerts)
        share = float(np.mean(causes))
        rows.append(_row(name, "offscript", "cause_at_3", [share], len(causes), setting))
    for row in rows:
        _say(f"{row.dataset} {row.method}: {row.measure} {row.value:.3g} (n {row.n})")
    return rows, float(model.summary["train_seconds"]) - waited


def _one_event_rows(
    name: str, model: Model, alerts: Sequence[Alert], setting: str
) -> Iterator[Row]:
    """What replacing events before does to alerts of one event, and how long naming them takes."""
    for method, share in repaired(Explained.of(model), alerts, METHODS).items():
        yield _row(name, method, "repaired_at_3", [share], len(alerts), setting)
    for measure, share in changed(model, alerts).items():
        yield _row(name, "counterfactual", measure, [share], len(alerts), setting)
    for method, median in answer_times(model, alerts, METHODS).items():
        yield _row(name, method, "milliseconds_named", [median], len(alerts), setting)


def timing_rows() -> Iterator[Row]:
    """The median time of an explanation, and of how many of ours SHAP takes as long."""
    for name, config in TIMED.items():
        medians = {}
        for method, measure, took in timings(config):
            medians[method, measure] = float(np.median(took))
            _say(f"{name} {method}: {measure} {medians[method, measure]:.2f}")
            yield _row(name, method, measure, [medians[method, measure]], len(took), "random")
        if ("kernel_shap", "milliseconds") in medians:
            times = medians["kernel_shap", "milliseconds"] / medians["offscript", "milliseconds"]
            yield _row(name, "offscript", "times_shap", [times], None, "random")


def _row(
    dataset: str,
    method: str,
    measure: str,
    values: Sequence[float],
    n: int | None = None,
    model: str = "tiny",
) -> Row:
    """The mean of the values; where there are several, between the least and the largest."""
    several = len(values) > 1
    return Row(
        dataset,
        method,
        model,
        measure,
        float(f"{np.mean(values):.5g}"),
        min(values) if several else None,
        max(values) if several else None,
        n,
        TARGETS.get(measure) if method == "offscript" else None,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for, all if nothing is, and write results/faithfulness.json."""
    parser = argparse.ArgumentParser(description="Explanations where the cause is known.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows: list[Row] = []
    seconds = 0.0
    for part in options.parts or PARTS:
        path, key = WORK / "faithfulness" / f"{part}.json", sources_of(part)
        kept = read_kept(path, key)
        if kept is None:
            kept = measure(part, options.data)
            keep(path, key, kept)
        rows += [Row(**row) for row in kept["rows"]]
        seconds += kept["seconds"]
    results = run_results("faithfulness", rows, seed=0, seconds=seconds)
    print(write_results(results, options.results))


def sources_of(part: str) -> str:
    """What the results of a part depend on; they are kept until it changes."""
    every = ("benchmarks/attributions/*.py", "model/*.py", "training/*.py", "interpret/*.py")
    return fingerprint((*every, *_OF.get(part, _OF_REAL)))


def measure(part: str, data: str | None) -> dict[str, Any]:
    """The rows of one part and the seconds that it took, its model's training included."""
    began = time.perf_counter()
    if part == "planted":
        rows = list(planted_rows())
    elif part == "handmade":
        rows = list(handmade_rows())
    elif part == "timing":
        rows = list(timing_rows())
    else:
        rows, saved = real_rows(part, data_folder(data))
        began -= saved
    return {"rows": [asdict(row) for row in rows], "seconds": time.perf_counter() - began}


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
