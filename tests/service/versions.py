"""Versions of one model: as good as it, worse, or with another vocabulary."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from offscript.interpret.golden import golden_scores
from offscript.interpret.sample import read_windows
from offscript.model.folder import MANIFEST, Model, save_model
from offscript.model.vocabulary import NEW, SPECIAL, Vocabulary
from offscript.model.weights import Weights, random_weights


def saved(model: Model, path: Path, *, version: int = 0) -> Model:
    """The model as a folder at `path`; a number makes it another one that says the same."""
    return save_model(replace(model, summary={**model.summary, "version": version}), path)


def renumbered(model: Model) -> Model:
    """The same model with other ids for its events."""
    d_vocab, special = len(model.vocabulary), len(SPECIAL)
    return _chosen(model, [*range(special), *reversed(range(special, d_vocab))])


def without(model: Model, name: str) -> Model:
    """A model that does not know one kind of event."""
    ids = [token for token, known in enumerate(model.vocabulary.names) if known != name]
    assert len(ids) == len(model.vocabulary) - 1
    return _chosen(model, ids)


def reweighed(model: Model, weights: Weights) -> Model:
    """The model with other weights, and golden events as those score them."""
    golden = golden_scores(weights, read_windows(model.reference))
    return replace(model, weights=weights, reference={**model.reference, "surprisals": golden})


def untrained(model: Model) -> Model:
    """A whole model that has learned nothing."""
    return reweighed(model, random_weights(model.config.decoder, seed=1))


def mixed(model: Model, other: Model, path: Path) -> None:
    """The model at `path` with the other's reference, and a manifest that says it belongs there."""
    reference, manifest = "reference.safetensors", path / MANIFEST
    saved(other, path.with_name("other"))
    saved(model, path)
    content = (path.with_name("other") / reference).read_bytes()
    (path / reference).write_bytes(content)
    said = json.loads(manifest.read_text())
    said["sha256"][reference] = hashlib.sha256(content).hexdigest()
    manifest.write_text(json.dumps(said))


def _chosen(model: Model, ids: list[int]) -> Model:
    weights, vocabulary = model.weights, model.vocabulary
    token_of = np.full(len(vocabulary), NEW, np.int32)
    token_of[ids] = np.arange(len(ids))
    reference = {**model.reference}
    reference["windows"] = token_of[reference["windows"].astype(np.int64)]
    reference["skips"] = token_of[reference["skips"].astype(np.int64)]
    for array in ("means", "last", "outcomes"):
        reference[array] = reference[array][ids]
    before, after = np.divmod(reference["pairs"].astype(np.int64), len(vocabulary))
    kept = np.isin(before, ids) & np.isin(after, ids)
    pairs = token_of[before[kept]].astype(np.int64) * len(ids) + token_of[after[kept]]
    order = np.argsort(pairs)
    reference["pairs"] = pairs[order]
    reference["pair_counts"] = reference["pair_counts"][kept][order]
    for array in ("contexts", "context_counts", "contexts_of", "surprisals"):
        del reference[array]  # as in a model of an earlier version
    return replace(
        model,
        config=replace(model.config, decoder=replace(model.config.decoder, d_vocab=len(ids))),
        weights=replace(
            weights,
            W_E=weights.W_E[ids],
            W_U=np.ascontiguousarray(weights.W_U[:, ids]),
            b_U=weights.b_U[ids],
        ),
        vocabulary=Vocabulary(
            tuple(vocabulary.names[token] for token in ids),
            tuple(vocabulary.counts[token] for token in ids),
        ),
        count_vectors=np.ascontiguousarray(model.count_vectors[:, ids]),
        reference=reference,
    )
