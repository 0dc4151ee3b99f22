"""Training logs that are not all normal: what anomalies among the training streams cost.

Each share of the training streams is replaced by anomalies drawn from the test, and every method is
fitted and calibrated as if all were normal; shares in one run each. `f1_contaminated` is F1 at the
calibrated threshold with 1 %, `f1_contaminated_0.003` with another share, `f1_calibrated` without
(half of the anomalies stay in the test, so of `postgres` no more than .9 % can be replaced);
`outliers_found` is the share of those anomalies that training set apart and named,
`outliers_wrong` how many normal streams it named with them. `f1_reviewed_N` is F1 after somebody
who knows the labels has looked N times at the streams that training lists as the oddest, and each
time trained again without the anomalies among them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..model.logs import read_lines
from ..training.corpus import read_ids
from .baselines import BASELINES
from .data import data_folder
from .datasets import NAMES, load
from .detection import sources_of
from .kept import FOLDER as WORK
from .kept import keep, read_kept
from .labelled import Labelled, contaminated, read_dataset
from .outcome import of_baseline, of_offscript
from .quality import measured
from .results import FOLDER as RESULTS
from .results import Row, run_results, write_results

SETS = ("hdfs_deeplog", "postgres", "bpi_12_injected", "road_traffic_fines_injected")
SHARES = (0.0, 0.003, 0.01, 0.03)
FAMILIES = ("offscript", "counts", "stide", "ngram")
_USUAL = 0.01
_LOOKS = 2


def entries_of(
    labelled: Labelled, share: float, family: str, *, device: str, seed: int = 0
) -> list[dict[str, Any]]:
    """Method, setting and measures of one family with one share of anomalies in training."""
    mixed = contaminated(labelled, share, seed=seed) if share else labelled
    suffix = (
        "_contaminated" + ("" if share == _USUAL else f"_{share:g}") if share else "_calibrated"
    )
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        dataset = read_dataset(mixed, scratch)
        bad = labelled.anomalous.intersection(mixed.train)
        if family != "offscript":
            found = of_baseline(dataset, BASELINES[family], seed=seed, device=device)
            beside: dict[str, float] = {}
        else:
            found = of_offscript(dataset, scratch / "model", print, seed=seed, device=device)
            apart = judged(scratch / "model.oddest", 1)
            beside = {f"outliers_wrong{suffix}": float(len(apart - bad))}
            if bad:
                beside[f"outliers_found{suffix}"] = len(apart & bad) / len(bad)
            for look in range(1, _LOOKS + 1 if bad else 1):
                mixed, f1 = reviewed(mixed, scratch, labelled.anomalous, seed=seed, device=device)
                beside[f"f1_reviewed_{look}{suffix}"] = f1
    entries = []
    for outcome in found:
        values = {f"f1{suffix}": measured(dataset, outcome, seed=seed)["f1_calibrated"]}
        if outcome.method == "offscript":
            values |= beside
        entries.append({"method": outcome.method, "setting": outcome.setting, "values": values})
    return entries


def judged(listed: Path, label: int) -> frozenset[str]:
    """The streams that a list of the oddest gives this label."""
    return read_ids(read_lines([listed]), label=label) if listed.exists() else frozenset()


def reviewed(
    labelled: Labelled, scratch: Path, anomalous: frozenset[str], *, seed: int, device: str
) -> tuple[Labelled, float]:
    """The set without those anomalies that `scratch`/model.oddest lists, and F1 after training
    again; what else is listed is called normal.
    """
    listed = scratch / "model.oddest"
    records = [json.loads(line) for line in read_lines([listed])] if listed.exists() else []
    for record in records:
        record["label"] = int(record["stream"] in anomalous)
    listed.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    left_out = judged(listed, 1)
    labelled = replace(labelled, train=tuple(k for k in labelled.train if k not in left_out))
    dataset = read_dataset(labelled, scratch)
    dataset = replace(dataset, config=replace(dataset.config, normal=judged(listed, 0)))
    (whole, *_) = of_offscript(dataset, scratch / "model", print, seed=seed, device=device)
    return labelled, measured(dataset, whole, seed=seed)["f1_calibrated"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for, all if nothing is, and write results/contamination.json."""
    parser = argparse.ArgumentParser(description="Anomalies among the training streams.")
    parser.add_argument("sets", nargs="*", choices=[*NAMES, []], help=f"{', '.join(SETS)}")
    parser.add_argument("--methods", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--data", help="folder of the data sets; else $OFFSCRIPT_DATA")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    rows = []
    for name in options.sets or SETS:
        with tempfile.TemporaryDirectory() as folder:
            labelled = load(name, data_folder(options.data), Path(folder))
            for share in options.shares:
                for family in options.methods:
                    path = WORK / "contamination" / f"{name}-{family}-{share:g}.json"
                    key = sources_of(family)
                    entries = read_kept(path, key)
                    if entries is None:
                        entries = entries_of(labelled, share, family, device=options.device)
                        keep(path, key, entries)
                    for entry in entries:
                        method, setting = entry["method"], entry["setting"]
                        print(f"  {name} {share:g} {method}: {entry['values']}", flush=True)
                        rows += [
                            Row(name, method, setting, measure, round(value, 5))
                            for measure, value in entry["values"].items()
                        ]
    seconds = time.perf_counter() - began
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else ""
    results = run_results("contamination", rows, seed=0, seconds=seconds, gpu=gpu)
    print(write_results(results, options.results))


if __name__ == "__main__":
    main()
