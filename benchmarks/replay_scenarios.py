"""What is replayed: where it comes from, what the model is trained on, and what is truly wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..examples.postgres.labels import FOLDER, STREAM_KEY, read_labels, read_split
from ..model.logs import read_lines
from ..training.config import TrainConfig
from ..training.corpus import read_labels as read_stream_labels
from .replay_deploy import Deploy, changed_sessions, deployed
from .replay_events import Sent

BLOCK = r"blk_-?\d+"


@dataclass(frozen=True)
class Scenario:
    """One replay.

    `owners` say whose each line or event is, None where of none or of several. `anomalies` are the
    owners that go wrong, with the index of the first wrong line where that is known.
    """

    name: str
    train: TrainConfig
    sent: Sequence[Sent]
    owners: Sequence[str | None]
    anomalies: dict[str, int | None]
    deploy: Deploy
    mixed: bool = False  # all owners are one endless stream, which does not tell them apart

    def deployed(self) -> tuple[list[Sent], frozenset[str]]:
        """What is sent with a deploy half way, and the sessions that it changed.

        The new version serves the normal sessions that begin in the second half; those that are
        under way and those that go wrong are left as they are.
        """
        changed = changed_sessions(self.owners, self.anomalies.keys(), len(self.sent) // 2)
        return list(deployed(self.sent, self.owners, self.deploy, changed)), changed


def postgres(_: Path, work: Path, seed: int) -> Scenario:
    """The recording's test part, raw; some two dozen sessions are under way where it begins.

    The deploy: every look at a product also asks for the stock, every session says its release once
    it has set its search path, and an order is confirmed by mail before it is marked as paid.
    """
    begin = read_split().parts[-1].first_line
    lines = list(read_lines([FOLDER / "recording.log.xz"]))
    key = re.compile(r"[-0-9]{10} [:.0-9]{12} UTC " + STREAM_KEY)
    matches = [key.match(line) for line in lines[begin - 1 :]]
    return Scenario(
        "postgres",
        TrainConfig(
            (_written(work / "postgres.log", lines[: begin - 1]),),
            work / "postgres",
            stream_key=STREAM_KEY,
            seed=seed,
            quiet=True,
        ),
        [Sent(line) for line in lines[begin - 1 :]],
        [match and match[1] for match in matches],
        {label.stream: label.line - begin for label in read_labels()},
        Deploy(
            renamed=(
                r"SELECT name, price, description FROM products",
                "SELECT name, price, description, stock FROM products",
            ),
            inserted=(r"SET search_path TO shop", "SET application_name TO 'release-2'"),
            swapped=(r"UPDATE orders SET state = 'paid'.*", r"INSERT INTO mail_queue .*"),
        ),
    )


def postgres_endless(data: Path, work: Path, seed: int) -> Scenario:
    """The recording without its session ids: one endless stream of 24 interleaved sessions.

    A planted session is caught if an alert is raised by one of its own lines from its first wrong
    one on.
    """
    recording = postgres(data, work, seed)

    def without(line: str) -> str:
        return re.sub(f" {STREAM_KEY}", "", line, count=1)

    known = [without(line) for line in read_lines(recording.train.logs)]
    train = replace(
        recording.train,
        logs=(_written(work / "postgres_endless.log", known),),
        out=work / "postgres_endless",
        stream_key=None,
    )
    return replace(
        recording,
        name="postgres_endless",
        train=train,
        sent=[Sent(without(one.text)) for one in recording.sent],
        mixed=True,
    )


def hdfs_raw(data: Path, work: Path, seed: int) -> Scenario:
    """The second half of the raw HDFS log (2 % sample); a block is a stream.

    Trained on the normal blocks that lie in the first half of the lines. Those that go on in the
    second half are joined in the middle. There are no labels of events: a delay counts from the
    block's first event in the replay. The deploy: responders close instead of terminating, and
    every block that was received is checked.
    """
    lines = list(read_lines([data / "raw" / "hdfs_2pct.log.xz"]))
    labels = read_stream_labels(read_lines([data / "raw" / "hdfs_2pct.anomaly_label.csv.xz"]))
    half = len(lines) // 2
    blocks = [sorted(set(re.findall(BLOCK, line))) for line in lines]
    later = {block for several in blocks[half:] for block in several}
    anomalous = {block for block, label in labels.items() if label}
    return Scenario(
        "hdfs_raw",
        TrainConfig(
            (_written(work / "hdfs_raw.log", lines[:half]),),
            work / "hdfs_raw",
            stream_key=BLOCK,
            complete=True,
            exclude=frozenset(later | anomalous),
            seed=seed,
            quiet=True,
        ),
        [Sent(line) for line in lines[half:]],
        [several[0] if len(several) == 1 else None for several in blocks[half:]],
        dict.fromkeys(sorted(anomalous)),
        Deploy(
            renamed=(r"(PacketResponder \d+ for block \S+) terminating", r"\1 closing"),
            inserted=(r"Received block (\S+) of size .*", r"Verified checksum of block \1"),
        ),
    )


def ait_ads_hosthour(data: Path, work: Path, seed: int) -> Scenario:
    """Alerts of intrusion detectors, by name; a host's hour is a stream. Floods are sent whole.

    Delays count from the first alert that is labelled as part of an attack. The deploy: `S-Tls-Rec`
    becomes `S-Tls-Rec-2`, and every `W-Sys-Cav` is followed by a `W-Sys-Update`.
    """
    log = data / "sequences" / "ait_ads_hosthour.jsonl.gz"
    sent: list[Sent] = []
    wrong: list[str | None] = []
    for line in read_lines([log]):
        record = json.loads(line)
        if record["split"] == "test":
            labels = record["labels"] if record["label"] else [0] * len(record["events"])
            for name, time, label in zip(record["events"], record["t"], labels, strict=True):
                sent.append(Sent(str(name), record["id"], float(time)))
                wrong.append(record["id"] if label else None)
    order = sorted(range(len(sent)), key=lambda index: sent[index].time or 0.0)
    anomalies: dict[str, int | None] = {}
    for at, index in enumerate(order):
        if (stream := wrong[index]) is not None:
            anomalies.setdefault(stream, at)
    sent = [sent[index] for index in order]
    return Scenario(
        "ait_ads_hosthour",
        TrainConfig((log,), work / "ait_ads_hosthour", seed=seed, quiet=True),
        sent,
        [one.stream for one in sent],
        anomalies,
        Deploy(
            renamed=(r"^S-Tls-Rec$", "S-Tls-Rec-2"),
            inserted=(r"^W-Sys-Cav$", "W-Sys-Update"),
        ),
    )


SCENARIOS = {
    "postgres": postgres,
    "postgres_endless": postgres_endless,
    "hdfs_raw": hdfs_raw,
    "ait_ads_hosthour": ait_ads_hosthour,
}


def _written(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
