"""What explanations take for usual: the arrays of a folder's reference.safetensors, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from .config import DecoderConfig
from .errors import ModelError


def n_paths(n_layers: int, n_heads: int) -> int:
    """Heads of layer 0, heads of layer 1, and pairs of the two."""
    return n_layers * n_heads + max(n_layers - 1, 0) * n_heads**2


def check_reference(decoder: DecoderConfig, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """ModelError unless the arrays are of this decoder.

    There may be none, as biases stand in for them; earlier versions kept no windows, surprisals of
    the first of them, skips or contexts.
    """
    if not arrays:
        return
    d_vocab, paths = decoder.d_vocab, n_paths(decoder.n_layers, decoder.n_heads)
    size = {name: array.size for name, array in arrays.items()}
    pairs, skips = size.get("pairs", 0), size.get("skips", 0) // 3
    _numbers(arrays, "means", (d_vocab, paths, decoder.d_head))
    _numbers(arrays, "mean", (paths, decoder.d_head))
    _numbers(arrays, "last", (d_vocab,))
    _counts(arrays, "outcomes", (d_vocab,))
    _counts(arrays, "pairs", (pairs,), below=d_vocab**2)
    _counts(arrays, "pair_counts", (pairs,))
    if "windows" in arrays:
        _counts(arrays, "windows", (size["windows"],), below=d_vocab)
        _counts(arrays, "window_lengths", (size.get("window_lengths", 0),))
        if np.sum(arrays["window_lengths"], dtype=np.float64) != size["windows"]:
            raise _misfit("window_lengths that do not add up to its windows")
        if "surprisals" in arrays:
            _numbers(arrays, "surprisals", (size["surprisals"],))
            if size["surprisals"] not in {0, *np.cumsum(arrays["window_lengths"] - 1).tolist()}:
                raise _misfit("surprisals that end within a window")
    if "skips" in arrays:
        _counts(arrays, "skips", (skips, 3), below=d_vocab)
        _counts(arrays, "skip_counts", (skips, 2))
    if "contexts" in arrays:
        _counts(arrays, "contexts", (size["contexts"],), below=d_vocab**3)
        _counts(arrays, "context_counts", (size["contexts"],))
        _counts(arrays, "contexts_of", (size.get("contexts_of", 0),), below=d_vocab)


def _numbers(arrays: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int, ...]) -> None:
    array = _shaped(arrays, name, shape)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise _misfit(f"{name} with values that are no numbers")


def _counts(
    arrays: Mapping[str, NDArray[np.generic]],
    name: str,
    shape: tuple[int, ...],
    *,
    below: float = math.inf,
) -> None:
    array = _shaped(arrays, name, shape)
    if array.dtype.kind not in "iu" or not _within(array.astype(np.float64), below):
        raise _misfit(f"{name} with values that are out of range")


def _within(values: Float64[np.ndarray, "..."], below: float) -> bool:
    return bool(((values >= 0.0) & (values < below)).all())


def _shaped(
    arrays: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    if name not in arrays:
        raise _misfit(f"no {name}")
    if arrays[name].shape != shape:
        raise _misfit(f"{name} of {arrays[name].shape} where config.json asks for {shape}")
    return arrays[name]


def _misfit(what: str) -> ModelError:
    return ModelError(
        f"reference.safetensors is not of this model: it holds {what}; restore the file or train "
        "again"
    )
