"""A column of texts as a dictionary and codes into it, as Arrow has them: one look-up a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

import numpy as np
from jaxtyping import Int

Text = TypeVar("Text", bound="str | None")


class Coded(Sequence[Text]):
    """Row i is `values[codes[i]]`; a value may come twice, and one that no row has does no harm."""

    def __init__(self, values: Sequence[Text], codes: Int[np.ndarray, " rows"]) -> None:
        self.values: Sequence[Text] = values
        self.codes = codes

    @classmethod
    def of(cls, rows: Sequence[Text]) -> Coded[Text]:
        """The column of these rows; one that is coded already stays as it is."""
        return rows if isinstance(rows, Coded) else cls(rows, np.arange(len(rows)))

    @classmethod
    def compact(cls, rows: Sequence[Text]) -> Coded[Text]:
        """The column of these rows, with each text once."""
        if isinstance(rows, Coded):
            each = cls.compact(rows.values)
            return cls(each.values, each.codes[rows.codes])
        values = list(dict.fromkeys(rows))
        places = dict(zip(values, range(len(values)), strict=True))
        return cls(values, np.fromiter(map(places.__getitem__, rows), np.int64, len(rows)))

    @classmethod
    def joined(cls, columns: Sequence[Coded[Text]]) -> Coded[Text]:
        """The rows of several columns, one after the other."""
        values: list[Text] = []
        codes = []
        for column in columns:
            codes.append(column.codes % len(column.values) + len(values))  # some count from the end
            values += column.values
        return cls(values, np.concatenate(codes))

    def __eq__(self, other: object) -> bool:
        """Whether these are the texts of another sequence."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, at: int) -> Text: ...
    @overload
    def __getitem__(self, at: slice) -> Coded[Text]: ...
    def __getitem__(self, at: int | slice) -> Text | Coded[Text]:
        if isinstance(at, slice):
            return Coded(self.values, self.codes[at])
        value: Text = self.values[int(self.codes[at])]
        return value

    def __iter__(self) -> Iterator[Text]:
        return map(self.values.__getitem__, self.codes.tolist())

    def take(self, rows: Int[np.ndarray, " taken"]) -> Coded[Text]:
        """The column of some of the rows."""
        return Coded(self.values, self.codes[rows])
