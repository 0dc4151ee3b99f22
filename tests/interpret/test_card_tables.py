"""The tables beside a card are those of its circuits, over all events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from offscript.interpret.card import Card
from offscript.interpret.card_tables import write_tables
from offscript.interpret.circuits import asking_circuits, matching_circuits, ov_circuits
from offscript.interpret.paths import path_names
from offscript.interpret.reference import read_reference
from offscript.model.folder import load_model

Make = Callable[..., SimpleNamespace]


def test_a_file_of_tables_has_the_cells_that_the_card_shows_and_all_others(
    trained_card: Card, tiny_model: Path, tmp_path: Path
) -> None:
    model = load_model(tiny_model)

    said = write_tables(tmp_path / "tables.npz", model)

    found = np.load(tmp_path / "tables.npz", allow_pickle=False)
    events = found["events"].tolist()
    assert events == list(model.vocabulary.names)
    shown = [events.index(event) for event in trained_card.shown]
    cells = np.ix_(shown, shown)
    np.testing.assert_allclose(found["direct"][cells], trained_card.direct, rtol=1e-4, atol=1e-4)
    for head in trained_card.heads:
        for side in ("ov", "qk"):
            table = found[f"{head.name}-{side}"]
            assert table.shape == (len(events), len(events))
            np.testing.assert_allclose(table[cells], getattr(head, side), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found[f"{head.name}-distance"], head.distance, rtol=1e-6)
    weights = model.weights
    virtual = path_names(weights)[2 * weights.n_heads :]
    assert {f"{name}-{side}" for name in virtual for side in ("ov", "q", "k")} <= set(found)
    assert said.startswith(f"{1 + 2 * 8 + 3 * 16} tables of {len(events)} × {len(events)} events")


def test_a_virtual_heads_table_is_that_of_its_circuit(make_random: Make, tmp_path: Path) -> None:
    model = make_random()

    write_tables(tmp_path / "tables.npz", model)

    weights = model.weights.astype(np.float64)
    last = read_reference(model.reference, weights).last
    found = np.load(tmp_path / "tables.npz")
    for side, circuit in (
        ("ov", ov_circuits(weights)[-1].centred(last)),
        ("q", asking_circuits(weights)[-1].row_centred(last)),
        ("k", matching_circuits(weights)[-1].row_centred(last)),
    ):
        told = found[f"{circuit.name}-{side}"]
        np.testing.assert_allclose(told, circuit.table(), rtol=1e-5, atol=1e-5)


def test_a_decoder_of_no_layers_has_its_direct_path(make_random: Make, tmp_path: Path) -> None:
    write_tables(tmp_path / "tables.npz", make_random(0))

    assert set(np.load(tmp_path / "tables.npz")) == {"events", "direct"}
