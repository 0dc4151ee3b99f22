"""What was read of JSON is of the types that its dataclasses declare, which nothing else checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


def check_types(value: Any, kind: Any, name: str) -> None:
    """TypeError with the name of what is not of its type; a whole number does for a float, and nan
    for nothing.
    """
    of, parts = get_origin(kind) or kind, get_args(kind)
    if of is UnionType:
        if value is not None:
            (kind,) = (part for part in parts if part is not NoneType)
            check_types(value, kind, name)
    elif is_dataclass(of):
        hints = get_type_hints(of)
        for field in fields(of):
            if field.init:
                check_types(getattr(value, field.name), hints[field.name], field.name)
    elif not isinstance(value, (int, float) if of is float else of) or (
        isinstance(value, bool) and of is not bool
    ):
        raise TypeError(f"{name} is {str(value)[:60]!r}, expected {of.__name__}")
    elif isinstance(value, float) and math.isnan(value):
        raise TypeError(f"{name} is no number")
    elif isinstance(value, tuple):
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        for each, kind in zip(value, kinds, strict=True):
            check_types(each, kind, name)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            check_types(key, parts[0], name)
            check_types(each, parts[1], name)
