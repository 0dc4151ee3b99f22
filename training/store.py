"""Arrays that may be larger than memory: written to a file without a name, and mapped from it.

The system drops mapped pages when memory is short and reads them again when they are asked for. The
file is gone with the process, however that ends.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


class Column(Generic[Number]):
    """An array that is appended to, and then read."""

    def __init__(self, dtype: type[Number], folder: Path | None) -> None:
        """`folder`: where the file lies, else where temporary files do, often in memory."""
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # lives with its mapping

    def append(self, values: NDArray[np.generic]) -> None:
        self._file.write(values.astype(self._dtype, copy=False).tobytes())

    def array(self) -> NDArray[Number]:
        """All that was appended, read-only; nothing more can be."""
        with self._file as file:
            file.flush()
            if not file.tell():
                return np.zeros(0, self._dtype)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, self._dtype)


class Pieces(Sequence[NDArray[np.int32]]):
    """Piece i of an array is `flat[offsets[i]:offsets[i + 1]]`."""

    def __init__(self, flat: NDArray[np.int32], offsets: Int64[np.ndarray, " pieces_and_one"]):
        self._flat, self._offsets = flat, offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> NDArray[np.int32]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.int32]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.int32] | list[NDArray[np.int32]]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        return self._flat[self._offsets[index] : self._offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[index] for index in range(len(self)))
