"""What an alert rests on, in short: so that alerts of one kind can be told apart."""

from __future__ import annotations

from .explanation import Explanation

_NAMED = 3


def mechanism(explanation: Explanation) -> tuple[tuple[str, str], ...]:
    """The events that speak most for an alert, each with how: the path that brought most of it, or
    of counts whether there were more or fewer of them. Strongest first, at most three.
    """
    if explanation.counts:
        return tuple(
            (share.event, "more" if share.count > share.expected else "fewer")
            for share in explanation.counts[:_NAMED]
        )
    first = explanation.attributions[0].evidence if explanation.attributions else ()
    return tuple((one.event, one.paths[0].name if one.paths else "") for one in first if one.rank)[
        :_NAMED
    ]
