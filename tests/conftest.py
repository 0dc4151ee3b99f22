"""What all tests share: checked array signatures, real data, tiny logs and models.

The conftest comes before the first import of `offscript`, so that the hook below sees every module.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import random
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import numpy as np
import pytest
from jaxtyping import install_import_hook

from .signatures import checked_once

if TYPE_CHECKING:
    from offscript.model.weights import Weights

ScoreSequence = Callable[["Weights", np.ndarray], tuple[np.ndarray, np.ndarray]]

HERE = Path(__file__).resolve().parent
SOURCES = ("model", "training", "interpret")  # what a trained model depends on


def package_root() -> Path:
    """Where the package lies that the tests test: the checkout, or an installed wheel."""
    spec = importlib.util.find_spec("offscript")
    assert spec is not None, "offscript is not installed: run scripts/setup"
    assert spec.origin is not None, "offscript is not a package"
    return Path(spec.origin).parent


def checked_modules() -> list[str]:
    """Every module of ours with axes of arrays, but those that Numba compiles: none can be wrapped.

    The check of a call takes longer than most calls, and without axes it says what mypy has said.
    Named one by one, as the hook takes a package's name for all that is below it.
    """
    root = package_root()
    return [
        ".".join(("offscript", *file.relative_to(root).with_suffix("").parts))
        for package in ("model", "training", "interpret", "service")
        for file in sorted((root / package).rglob("*.py"))
        if "jaxtyping" in file.read_text(encoding="utf-8") and not file.name.endswith("kernels.py")
    ]


jaxtyping.jaxtyped = checked_once  # type: ignore[assignment] # found there by what the hook adds
# As type checkers do, an int is taken where a float is asked for.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(checked_modules(), CHECKER)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = [item for item in items if "slow" in item.keywords]
    # Files are run side by side: those that take long are begun first, so that none is left over.
    long, tests = {item.path for item in slow}, Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in long, -tests[item.path]))
    if not config.getoption("--all"):
        for item in slow:
            item.add_marker(pytest.mark.skip(reason="slow: runs with scripts/test --all"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The public data sets: $OFFSCRIPT_DATA, else ../shared/data beside the repository."""
    given = os.environ.get("OFFSCRIPT_DATA")
    folder = Path(given) if given else HERE.parent.parent / "shared" / "data"
    if not (folder / "sequences").is_dir():
        text = f"no data sets in {folder}: set OFFSCRIPT_DATA to the folder of sequences/ and raw/"
        if given or os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return folder


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """After `offscript serve` in this process no thread's error ends it, as that of a service's."""
    hook, interval = threading.excepthook, sys.getswitchinterval()
    yield
    threading.excepthook = hook
    sys.setswitchinterval(interval)


def session(rng: random.Random) -> list[str]:
    """The messages of one session: what comes late depends on what came early."""
    user, order = rng.randrange(1000, 9999), rng.randrange(100_000, 999_999)
    kind = rng.choices(["shop", "backup", "admin"], weights=[6, 2, 2])[0]
    if kind == "shop":
        express = rng.random() < 0.3
        lines = [f"app: login ok for user {user}"]
        lines += [f"app: {'express' if express else 'standard'} cart opened"]
        lines += [
            f"web: page {rng.randrange(1, 99)} viewed in {rng.randrange(2, 90)} ms"
            if rng.random() < 0.6
            else f"cart: item {rng.randrange(1, 500)} added"
            for _ in range(rng.randrange(2, 9))
        ]
        lines += ["shop: checkout started"]
        if express:
            lines += [f"pay: card on file charged {rng.randrange(5, 400)} EUR"]
        else:
            lines += ["pay: form sent", f"pay: transfer of {rng.randrange(5, 400)} EUR confirmed"]
        lines += [f"shop: order {order} placed", f"app: logout user {user}"]
    elif kind == "backup":
        full = rng.random() < 0.4
        lines = [f"backup: {'full' if full else 'incremental'} run started"]
        lines += [f"backup: chunk {n} written" for n in range(rng.randrange(3, 10))]
        lines += [f"backup: checksum 0x{rng.randrange(1 << 32):08x} computed"]
        lines += ["backup: catalogue written" if full else "backup: catalogue merged"]
        lines += [f"backup: run finished after {rng.randrange(5, 500)} s"]
    else:
        lines = [f"admin: console opened from 10.0.{rng.randrange(9)}.{rng.randrange(250)}"]
        for _ in range(rng.randrange(1, 4)):
            lines += [f"admin: setting {rng.randrange(40)} read"]
            if rng.random() < 0.5:
                lines += [f"admin: setting {rng.randrange(40)} written", "admin: service reloaded"]
        lines += ["admin: console closed"]
    return lines


def write_log(
    path: Path, streams: list[tuple[datetime, str, list[str]]], rng: random.Random
) -> Path:
    """Interleaves the streams (beginning, prefix of each line, messages) by time, with pauses."""
    rows: list[tuple[datetime, str]] = []
    for begin, prefix, messages in streams:
        time = begin
        for message in messages:
            rows.append((time, f"{prefix}{message}"))
            pause = 60.0 if rng.random() < 0.02 else 2.0
            time += timedelta(milliseconds=round(1000 * rng.expovariate(1 / pause)) + 1)
    rows.sort()
    with path.open("w", encoding="utf-8") as file:
        for time, text in rows:
            file.write(f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d} {text}\n")
            if "transfer" in text and rng.random() < 0.05:
                file.write("    upstream answered slowly\n    and was asked again\n")
    return path


BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def tiny_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    r"""A normal log of 600 interleaved sessions over three hours, with a key: `session=(\w+)`."""
    rng = random.Random(7)
    streams = [
        (
            BEGIN + timedelta(seconds=rng.uniform(0, 3 * 3600)),
            f"session={rng.randrange(1 << 24):06x} ",
            session(rng),
        )
        for _ in range(600)
    ]
    return write_log(tmp_path_factory.mktemp("tiny") / "shop.log", streams, rng)


@pytest.fixture(scope="session")
def tiny_endless_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A normal log of one daemon over some hours, without a key: rounds of probes and reports."""
    rng = random.Random(8)
    messages = []
    for number in range(700):
        messages += [f"poller: round {number} started"]
        messages += [f"probe: {part} ok in {rng.randrange(1, 80)} ms" for part in ("disk", "net")]
        if number % 5 == 4:
            messages += ["probe: certificate valid", "report: summary sent"]
        if rng.random() < 0.1:
            messages += ["probe: net slow, asked again", f"probe: net ok in {rng.randrange(80)} ms"]
        messages += [f"poller: round {number} finished"]
    return write_log(tmp_path_factory.mktemp("tiny") / "daemon.log", [(BEGIN, "", messages)], rng)


def trained(log: Path, cache: pytest.Cache, *, stream_key: str | None) -> Path:
    """The folder of a model of `log`; kept between runs as long as log and source are the same."""
    source = [
        file for package in SOURCES for file in sorted((package_root() / package).glob("*.py"))
    ]
    digest = hashlib.sha256()
    for file in (log, *source):
        digest.update(file.read_bytes())
    models = cache.mkdir("models")
    # In a folder of its own, as training leaves a list beside it.
    out = models / f"{log.stem}-{digest.hexdigest()[:12]}" / "model"
    with (models / f"{log.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of processes that test side by side, one trains
        if not out.exists():
            for outdated in models.glob(f"{log.stem}-*"):
                shutil.rmtree(outdated)
            from offscript.training.config import TrainConfig
            from offscript.training.train import train_model  # torch: only where needed

            config = TrainConfig(logs=(log,), out=out, stream_key=stream_key, steps=300, quiet=True)
            train_model(config, report=list[str]().append)
    return out


@pytest.fixture(scope="session")
def tiny_model(tiny_log: Path, pytestconfig: pytest.Config) -> Path:
    """The folder of a model trained on `tiny_log`. Not to be written to."""
    assert pytestconfig.cache is not None
    return trained(tiny_log, pytestconfig.cache, stream_key=r"session=(\w+)")


@pytest.fixture(scope="session")
def tiny_endless_model(tiny_endless_log: Path, pytestconfig: pytest.Config) -> Path:
    """The folder of a model trained on `tiny_endless_log`. Not to be written to."""
    assert pytestconfig.cache is not None
    return trained(tiny_endless_log, pytestconfig.cache, stream_key=None)


@pytest.fixture(scope="session")
def score_sequence() -> ScoreSequence:
    """Scores one whole sequence by the served scorer, with nothing around it."""
    from offscript.model.forward_kernels import BLOCK
    from offscript.model.kernels import RING
    from offscript.model.scorer import Scorer
    from offscript.model.streams import STATE
    from offscript.model.tables import tables

    def score(weights: Weights, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Surprisal and entropy in nats of tokens[1:]; the first is `<start>` or `<past>`."""
        scorer = Scorer(tables(weights), rows=1)
        scorer.follow(1)
        ring, state = np.zeros((1, RING), np.uint16), np.zeros(1, STATE)
        ring[0, 0], state["length"] = tokens[0], 1
        observed = np.asarray(tokens[1:], dtype=np.int32)
        found = []
        for begin in range(0, len(observed), BLOCK):
            block = observed[begin : begin + BLOCK]
            rows = np.zeros(len(block), np.int64)
            logits, where, sums, width, _ = scorer.predict(rows, block, state, ring)
            for i, token in enumerate(block.tolist()):
                log_sum, entropy = sums[where[i]]
                found.append((log_sum - logits[where[i] * width + token], entropy))
                ring[0, state["length"] % RING] = token
                state["length"] += 1
        surprisal, entropy = np.array(found).T
        return surprisal, entropy

    return score
