"""A product of two thin matrices that is kept as its factors, as the circuits of a head are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64

Array = np.ndarray


@dataclass(frozen=True)
class FactoredMatrix:
    """A @ B, formed only where `AB` is asked for.

    `W @ M`, `M @ W` and `M @ M` are factored again, and of the smallest rank at hand.
    """

    A: Float64[Array, "rows rank"]
    B: Float64[Array, "rank columns"]

    __array_ufunc__ = None  # an array on the left leaves the product to us

    @property
    def AB(self) -> Float64[Array, "rows columns"]:
        return np.asarray(self.A @ self.B)

    @property
    def T(self) -> FactoredMatrix:
        return FactoredMatrix(self.B.T, self.A.T)

    @property
    def shape(self) -> tuple[int, int]:
        return (len(self.A), self.B.shape[1])

    def __matmul__(self, other: FactoredMatrix | Float64[Array, "columns _"]) -> FactoredMatrix:
        if not isinstance(other, FactoredMatrix):
            return FactoredMatrix(self.A, self.B @ other)
        between = self.B @ other.A
        if between.shape[0] <= between.shape[1]:
            return FactoredMatrix(self.A, between @ other.B)
        return FactoredMatrix(self.A @ between, other.B)

    def __rmatmul__(self, other: Float64[Array, "_ rows"]) -> FactoredMatrix:
        return FactoredMatrix(other @ self.A, self.B)

    def norm(self) -> float:
        """‖AB‖ = √tr(AᵀA BBᵀ), Frobenius's."""
        return float(np.sqrt(max(0.0, np.sum((self.A.T @ self.A) * (self.B @ self.B.T)))))

    def eigenvalues(self) -> Complex128[Array, " rank"]:
        """Those of a square AB that are not zero: they are those of BA, which is small."""
        return np.asarray(np.linalg.eigvals(self.B @ self.A), dtype=np.complex128)

    def svd(
        self,
    ) -> tuple[
        Float64[Array, "rows rank"], Float64[Array, " rank"], Float64[Array, "rank columns"]
    ]:
        """U, S and Vh with AB = U diag(S) Vh, by QR of the factors; the largest first."""
        q_left, r_left = np.linalg.qr(self.A)
        q_right, r_right = np.linalg.qr(self.B.T)
        U, S, Vh = np.linalg.svd(r_left @ r_right.T, full_matrices=False)
        return q_left @ U, S, Vh @ q_right.T
