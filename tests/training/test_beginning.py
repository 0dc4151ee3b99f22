"""A decoder begins as the counted bigram table, and its first heads look at fixed distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offscript.model.config import DecoderConfig
from offscript.model.decoder import Decoder
from offscript.model.vocabulary import END, PAST, START
from offscript.training.batches import Sequences
from offscript.training.beginning import begin, factors, pair_table

SEQUENCES = Sequences.of(
    [np.array([START, 4, 5, END], np.int32)] * 30 + [np.array([START, 4, 6, END], np.int32)] * 10
)
BASE = np.log(np.array([1e-3, 1e-3, 40.0, 1e-3, 40.0, 30.0, 10.0]) / 120.0)


def test_the_table_is_how_much_likelier_an_event_is_after_another_than_anywhere() -> None:
    table = pair_table(SEQUENCES, BASE)

    p = np.exp(BASE) / np.exp(BASE).sum()
    # 4 was followed by 5 in 30 of 40 cases, and by two kinds of events.
    assert table[4, 5] == pytest.approx(np.log((30 + 2 * p[5]) / 42 / p[5]))
    assert np.abs(table[PAST]).max() < 1e-12  # nothing ever followed it
    assert (table[:, [START, PAST]] == 0).all()


def test_the_factors_multiply_to_the_table_where_the_width_suffices() -> None:
    table = pair_table(SEQUENCES, BASE)

    whole = np.matmul(*factors(table, 7))
    narrow = np.matmul(*factors(table, 2))

    np.testing.assert_allclose(whole, table, atol=1e-9)
    assert np.abs(narrow - table).max() < np.abs(table).max()


def test_a_wide_table_is_factored_about_as_well_among_few_directions() -> None:
    torch.manual_seed(0)
    table = np.random.default_rng(0).normal(size=(90, 90)) * 0.9 ** np.arange(90)

    near = np.linalg.norm(np.matmul(*factors(table, 16)) - table)

    best = np.linalg.norm(np.linalg.svd(table)[1][16:])
    assert best <= near < 1.05 * best


def test_a_decoder_begins_with_what_counting_knows() -> None:
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(7, 0, d_model=16), torch.from_numpy(BASE).float())
    begin(decoder, SEQUENCES, BASE)

    with torch.no_grad():
        p = decoder(torch.tensor([[START, 4]])).softmax(-1)[0]

    assert float(p[0, 4]) > 0.9
    assert float(p[1, 5]) == pytest.approx(0.75, abs=0.2)


def test_the_first_heads_begin_at_one_and_two_events_back_and_the_last_anywhere() -> None:
    decoder = Decoder(DecoderConfig(7, 2, d_model=16, n_heads=3, window=8))
    begin(decoder, SEQUENCES, BASE)

    first, second = (layer.rho.detach().numpy() for layer in decoder.layers)  # type: ignore[operator]  # a Parameter

    assert first.argmax(axis=1).tolist()[:2] == [1, 2]
    assert (first[2] == 0).all()
    assert (second == 0).all()
