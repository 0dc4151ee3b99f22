"""The check of arrays' axes in signatures: once for all calls that are alike to it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection
from types import FunctionType
from typing import Any

from jaxtyping import jaxtyped


class UnlikeError(Exception):
    """Of such a value one item is looked at, each time another."""


@functools.cache
def judged_whole(of: Any) -> bool:
    """Whether the check of a value asks about its type alone."""
    return not hasattr(of, "dtype") and not issubclass(of, (int, str, type, Collection))


def kind(value: object) -> object:
    """All that the check of a value asks about: of an array its shape and the type of its numbers.

    Raises UnlikeError where no such thing can be said.
    """
    of: Any = type(value)
    if judged_whole(of):
        return of
    if isinstance(value, (int, str, type)):
        return of, value  # a number may be an axis's length, a text one of a few
    if isinstance(value, tuple):
        return of, *map(kind, value)
    if hasattr(of, "dtype"):
        return of, value.dtype, value.shape  # type: ignore[attr-defined] # NumPy's and torch's
    raise UnlikeError


def checked_once(*, typechecker: object) -> Callable[[Any], Any]:
    """Does what `jaxtyping.jaxtyped` does, once for all calls that are alike to it.

    A check takes longer than most functions do, and asks about shapes and types alone.
    """

    def decorate(function: Any) -> Any:
        if hasattr(function, "__dataclass_fields__"):
            function.__init__ = decorate(function.__init__)
            return function
        if not isinstance(function, FunctionType):
            return jaxtyped(function, typechecker=typechecker)
        known = threading.local()
        passed = set[object]()

        def answer(*_: object, **__: object) -> object:
            return known.result

        # The words of annotations are those of the function's own module.
        there = function.__globals__
        answer = FunctionType(answer.__code__, there, function.__name__, None, answer.__closure__)
        answer = functools.wraps(function)(answer)

        @functools.cache  # as it takes long, and most functions are never called in one process
        def checking(called: Any) -> Any:
            return jaxtyped(called, typechecker=typechecker)

        @functools.wraps(function)
        def checked(*arguments: object, **named: object) -> object:
            if len(passed) > 1000:  # of texts and numbers there may be a million
                passed.clear()
            try:
                call = kind(arguments), *named, kind(tuple(named.values()))
            except UnlikeError:
                return checking(function)(*arguments, **named)
            if call not in passed:
                result = checking(function)(*arguments, **named)
                passed.add(call)
                return result
            result = function(*arguments, **named)
            try:
                whole = call, kind(result)
            except UnlikeError:
                whole = None
            if whole is None or whole not in passed:
                known.result = result
                checking(answer)(*arguments, **named)
                del known.result
            if whole is not None:
                passed.add(whole)
            return result

        return checked

    return decorate
