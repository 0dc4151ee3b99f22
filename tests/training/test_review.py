"""Somebody can judge the oddest training streams, and training does as they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offscript.model.folder import Model, load_model
from offscript.model.logs import read_lines
from offscript.training.config import TrainConfig
from offscript.training.corpus import read_ids
from offscript.training.held_out import Stream
from offscript.training.review import Record, oddest, write_list

ODD = {"stream": "a", "label": 0, "alike": ["b", "c"]}


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


def streams_of(model: Model) -> list[Stream]:
    """As many as calibrated, each with another number of the same event."""
    name = model.vocabulary.names[-1]
    rows = len(model.held["whole"])
    return [
        Stream([name] * (n + 1), np.full(n + 1, np.nan), started=True, ended=True, key=f"s{n}")
        for n in range(rows)
    ]


def listed(model: Model, streams: list[Stream], *odd: int, **said: frozenset[str]) -> list[Record]:
    """The list where these rows are far odder than all others by their counts, the first most."""
    values = model.held["whole"].astype(np.float64)
    counts = 4  # of DETECTORS
    for place, row in enumerate(odd):
        values[row, counts] = 1e3 - place
    apart = np.zeros(len(values), np.bool_)
    return oddest(
        model, values, streams, apart, every=streams, normal=said.get("normal", frozenset())
    )


def test_the_oddest_come_first_with_what_says_so(model: Model) -> None:
    streams = streams_of(model)

    first, second, *rest = listed(model, streams, 17, 3)

    assert (first["stream"], second["stream"]) == ("s17", "s3")
    assert first["detector"] == "counts"
    assert first["label"] == 0
    assert streams[17].names[first["position"] - 1] == first["event"]
    assert len(rest) == len(streams) // 10 - 2
    scores = [record["score"] for record in (first, second, *rest)]
    assert scores == sorted(scores, reverse=True)


def test_those_that_do_the_same_are_listed_once_with_their_keys(model: Model) -> None:
    streams = streams_of(model)
    streams[5] = replace(streams[17], key="twin")

    records = listed(model, streams, 17, 5, 3)

    assert [record["stream"] for record in records[:2]] == ["s17", "s3"]
    assert records[0]["alike"] == ["twin"]


def test_what_was_called_normal_is_not_listed_again(model: Model) -> None:
    streams = streams_of(model)
    streams[5] = replace(streams[17], key="twin")

    records = listed(model, streams, 17, 5, 3, normal=frozenset(["s17", "twin"]))

    assert records[0]["stream"] == "s3"
    assert all(not {"s17", "twin"} & {r["stream"], *r["alike"]} for r in records)


def test_all_that_were_set_apart_are_listed_and_called_no_normals(model: Model) -> None:
    streams, values = streams_of(model), model.held["whole"].astype(np.float64)
    apart = np.arange(len(values)) % 2 == 0

    records = oddest(model, values, streams, apart, every=streams, normal=frozenset())

    called = {record["stream"] for record in records if record["label"] == 1}
    assert called == {stream.key for stream, bad in zip(streams, apart, strict=True) if bad}


def test_labels_say_what_is_excluded_and_what_is_normal_with_all_alike(tmp_path: Path) -> None:
    config, said = TrainConfig((), tmp_path / "m"), list[str]()
    write_list(config, [ODD, {"stream": "d", "label": 1, "alike": []}], said.append)
    path = tmp_path / "m.oddest"

    assert "the 2 oddest streams are in" in said[0]
    assert f"--exclude {path} --normal {path}" in said[0]
    assert read_ids(read_lines([path]), label=0) == {"a", "b", "c"}
    assert read_ids(read_lines([path]), label=1) == {"d"}


def test_what_was_judged_stays_in_the_next_list_and_the_list_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.oddest"
    config = TrainConfig((), tmp_path / "m")
    write_list(config, [ODD, {"stream": "d", "label": 1, "alike": []}], print)
    judged = path.read_text()
    testing = [f"test{n}" for n in range(5)]  # excluded, but never in a list

    asked = replace(
        config, exclude=frozenset(["d", *testing]), normal=frozenset(["a", "b", "c", "e"])
    )
    write_list(asked, [{"stream": "f", "label": 0, "alike": []}], print)

    assert (tmp_path / "m.oddest~").read_text() == judged
    assert json.loads(path.read_text().splitlines()[0])["stream"] == "f"
    assert read_ids(read_lines([path]), label=1) == {"d"}
    assert read_ids(read_lines([path]), label=0) == {"a", "b", "c", "f"}


def test_a_file_of_that_name_that_is_no_list_is_kept_beside(tmp_path: Path) -> None:
    path = tmp_path / "m.oddest"
    path.write_bytes(b"{\xff\xfe not one of ours")

    write_list(TrainConfig((), tmp_path / "m"), [ODD], print)

    assert (tmp_path / "m.oddest~").read_bytes() == b"{\xff\xfe not one of ours"
    assert read_ids(read_lines([path])) == {"a", "b", "c"}
