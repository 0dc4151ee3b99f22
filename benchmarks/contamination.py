"""Training logs that are not all normal: what anomalies among the training streams cost.

Each share of the training streams is replaced by anomalies drawn from the test, and every method is
fitted and calibrated as if all were normal; shares in one run each. `f1_contaminated` is F1 at the
calibrated threshold with 1 %, `f1_contaminated_0.003` with another share, `f1_calibrated` without
(half of the anomalies stay in the test, so of `postgres` no more than .9 % can be replaced);
`outliers_found` is the share of those anomalies that training set apart and named,
`outliers_wrong` how many normal streams it named with them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
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
        if family == "offscript":
            found = of_offscript(dataset, scratch / "model", print, seed=seed, device=device)
        else:
            found = of_baseline(dataset, BASELINES[family], seed=seed, device=device)
        named = scratch / "model.outliers"
        apart = read_ids(read_lines([named])) if named.exists() else frozenset()
        apart -= dataset.config.exclude  # named again, as they are to stay out
    bad = labelled.anomalous.intersection(mixed.train)
    entries = []
    for outcome in found:
        values = {f"f1{suffix}": measured(dataset, outcome, seed=seed)["f1_calibrated"]}
        if outcome.method == "offscript":
            values[f"outliers_wrong{suffix}"] = float(len(apart - bad))
            if bad:
                values[f"outliers_found{suffix}"] = len(apart & bad) / len(bad)
        entries.append({"method": outcome.method, "setting": outcome.setting, "values": values})
    return entries


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
