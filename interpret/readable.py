"""What an explanation needs of a model; a folder that was loaded has it all, and more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from ..model.vocabulary import Vocabulary
from ..model.weights import Weights


@runtime_checkable
class _Threshold(Protocol):
    def limits(self) -> Float64[np.ndarray, " detectors"]: ...


@runtime_checkable
class _Calibration(Protocol):
    @property
    def kappa(self) -> float: ...
    @property
    def usual(self) -> float: ...
    def of(self, joined: bool) -> _Threshold: ...


@runtime_checkable
class Readable(Protocol):
    """Weights, names, what is usual, and limits."""

    @property
    def weights(self) -> Weights: ...
    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def reference(self) -> Mapping[str, NDArray[np.generic]]: ...
    @property
    def calibration(self) -> _Calibration: ...
    @property
    def count_vectors(self) -> Float32[np.ndarray, "vectors d_vocab"]: ...
