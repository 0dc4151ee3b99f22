"""Dataclasses as values that JSON has, and back."""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints


def from_plain(kind: Any, value: Any) -> Any:
    """A JSON value as the type that a field is declared with; a float that is null is unknown.

    Fields that are not known here are passed over: a newer service may send more.
    """
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        fields = {
            name: from_plain(hint, value[name]) for name, hint in hints.items() if name in value
        }
        return cast(Any, kind)(**fields)
    if get_origin(kind) is tuple:
        return tuple(from_plain(get_args(kind)[0], item) for item in value)
    if isinstance(kind, UnionType):
        return None if value is None else from_plain(get_args(kind)[0], value)
    if kind is float:
        return math.nan if value is None else float(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {value!r}")
    return value


def to_plain(value: Any) -> Any:
    """Lists for tuples and null for nan, which JSON has not."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
