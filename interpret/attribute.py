"""One event of an alert's window explained: its terms, its evidence, what was expected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int

from ..model.vocabulary import NEW
from .contexts import Support
from .directions import Direction, base_rate, headline, largest, ranked, softmax
from .explanation import Attribution, Evidence, Look, Outcome, PathShare, Surprise, Term
from .looks import TOLD, look
from .paths import Paths, expand
from .unseen import Nearest, nearest
from .verify import check
from .window import Window

Array = np.ndarray
View = Callable[[Float64[Array, " d_vocab"], int], Direction]

_EXPECTED = 5  # outcomes listed
_EVIDENCE = 5  # events listed at most …
_FIRST = 3  # … and at least, if there are so many notable ones …
_COVERED = 0.8  # … but no more than carry this share of what spoke for the total
_NOTABLE = 0.03  # share of the total, or of the largest part, from which an event is listed …
_AGAINST = 0.1  # … and from which one is that spoke against the total
_TERMS = 48  # single path × event terms listed; the rest is one term a path
_PATHS = 3  # paths named for a piece of evidence


def attribute(window: Window, view: View, *, checks: bool) -> tuple[Attribution, Paths]:
    """The window's event explained along `view`, and all the paths into its prediction."""
    weights, alert, reference = window.weights, window.alert, window.reference
    index, logits = window.index, window.activations.logits[-1]
    direction = view(logits, alert.tokens[index])
    rates = np.log(reference.base_rates())
    surprise = base_rate(rates, logits, alert.tokens[index])
    both = (direction, surprise)
    paths = expand(weights, window.activations, np.stack([d.w for d in both]), reference)
    errors = paths.total() + [d.remainder - d.total for d in both]
    by_source = paths.evidence.sum(axis=1)
    by_source[:, -1] += paths.direct
    evidence = tuple(
        _evidence(window, direction, paths, by_source, source, rank, checks)
        for rank, source in enumerate(listed(by_source[0], direction.total), start=1)
    )
    base = float(paths.base[0]) + direction.remainder
    anywhere = -float(rates[alert.tokens[index]])
    after = float(paths.base[1] - rates @ surprise.w + by_source[1, -1])
    order = ranked(logits)
    attribution = Attribution(
        index=index,
        line=alert.lines[index],
        time=alert.times[index],
        view=direction.view,
        against=tuple(window.vocabulary.names[token] for token in direction.against),
        against_probability=float(softmax(logits)[list(direction.against)].sum()),
        total=direction.total,
        base=base,
        others=direction.total - base - sum(item.value for item in evidence),
        surprise=Surprise(
            surprisal=surprise.total,
            anywhere=anywhere,
            last=after,
            evidence=surprise.total - anywhere - after,
        ),
        observed=_outcome(window, order, alert.tokens[index]),
        expected=tuple(_outcome(window, order, token) for token in order[:_EXPECTED].tolist()),
        last=window.name(index - 1),
        terms=_terms(window, direction, paths),
        evidence=evidence,
        completeness_error=float(np.abs(errors).max()),
        nearest=_nearest(window),
    )
    return attribution, paths


def listed(by_source: Float64[Array, " sources"], total: float) -> list[int]:
    """The strongest events for the total until most is covered; then the strongest against it."""
    order = np.argsort(-by_source, kind="stable")
    value, scale = by_source[order], max(abs(total), np.abs(by_source).max())
    supporting = order[(value > 0.0) & (value >= _NOTABLE * scale)]
    opposing = order[(value < 0.0) & (value <= -_AGAINST * scale)][-1:]
    covered = np.cumsum(by_source[supporting])
    enough = int(np.searchsorted(covered, _COVERED * covered[-1])) + 1 if len(covered) else 0
    return [*supporting[: np.clip(enough, _FIRST, _EVIDENCE)].tolist(), *opposing.tolist()]


def _evidence(
    window: Window,
    direction: Direction,
    paths: Paths,
    by_source: Float64[Array, "directions sources"],
    source: int,
    rank: int,
    checks: bool,
) -> Evidence:
    alert, index, at = window.alert, window.index, window.offset + source
    value = float(by_source[0, source])
    checked = (
        check(
            window.weights,
            window.activations,
            position=source,
            direction=direction,
            value=value,
            reference=window.reference,
        )
        if checks
        else None
    )
    return Evidence(
        rank=rank if value > 0.0 else 0,
        source=at,
        event=window.name(at),
        lag=index - at,
        seconds=alert.times[index] - alert.times[at],
        time=alert.times[at],
        line=alert.lines[at],
        value=value,
        surprise=float(by_source[1, source]),
        paths=_path_shares(window, paths, index - at, split=rank <= TOLD),
        check=checked,
        support=_support(window, direction, at),
    )


def _support(window: Window, direction: Direction, at: int) -> Support | None:
    """How often training showed the event at an index before the last one, and what came then."""
    tokens, index = window.alert.tokens, window.index
    if at == index - 1:
        return None
    logits = window.activations.logits[-1]
    expected = direction.against or headline(logits, tokens[index]).against
    contexts = window.reference.contexts
    return contexts.support(tokens[at], tokens[index - 1], expected, window.weights.d_vocab)


def _path_shares(window: Window, paths: Paths, lag: int, *, split: bool) -> tuple[PathShare, ...]:
    """The paths that brought most of what the event `lag` back contributed; 1 is the last one.

    `split` names the pairs of which the looks of the strongest have their content.
    """
    brought = paths.evidence[0, :, -lag]
    strongest = np.argsort(-np.abs(brought), kind="stable")[:_PATHS].tolist()
    shares = [
        PathShare(
            paths.names[path],
            float(brought[path]),
            *_looks(window, path, lag, split=split and path == strongest[0]),
        )
        for path in strongest
        if brought[path]
    ]
    if lag == 1:
        shares.append(PathShare("direct", float(paths.direct[0]), None, ()))
    shares.sort(key=lambda share: -abs(share.value))
    return tuple(share for share in shares[:_PATHS] if share.value)


def _looks(
    window: Window, path: int, lag: int, *, split: bool
) -> tuple[int | None, tuple[Look, ...]]:
    """Lag of the event where a virtual head's second head mostly read, and each head's look."""
    heads = window.weights.n_heads
    if path < 2 * heads:
        layer, head = divmod(path, heads)
        return None, (look(window, layer, head, 1, lag, split=split),)
    first, second = divmod(path - 2 * heads, heads)
    middle = _middle(window, path, lag)
    return middle, (
        look(window, 1, second, 1, middle, split=split),
        look(window, 0, first, middle, lag, split=split),
    )


def _middle(window: Window, path: int, lag: int) -> int:
    """Lag of the event where a virtual head's second head read most of what the first brought."""
    first, second = divmod(path - 2 * window.weights.n_heads, window.weights.n_heads)
    brought, read = (layer.pattern for layer in window.activations.layers)
    at_work = read[second, -1] * brought[first, :, -lag]
    return len(at_work) - int(np.argmax(at_work))


def _nearest(window: Window) -> tuple[Nearest, ...]:
    """Known events like the one explained, if that is not known and it is known what it says."""
    alert, index = window.alert, window.index
    said = alert.text if index == len(alert.tokens) - 1 else alert.lines[index]
    if alert.tokens[index] != NEW or said is None:
        return ()
    return nearest(said, window.vocabulary.names)


def _outcome(window: Window, order: Int[Array, " ranked"], token: int) -> Outcome:
    logits = window.activations.logits[-1]
    return Outcome(
        event=window.vocabulary.names[token],
        probability=float(softmax(logits)[token]),
        base_rate=float(window.reference.base_rates()[token]),
        rank=1 + int(np.count_nonzero(logits[order] > logits[token])),
        support=window.reference.support(window.alert.tokens[window.index - 1], token),
    )


def _terms(window: Window, direction: Direction, paths: Paths) -> tuple[Term, ...]:
    """Constants, the largest single terms, and each path's resting and other parts."""
    heads, index = window.weights.n_heads, window.index
    terms = [Term("base", "base", float(paths.base[0]))]
    if direction.remainder:
        terms.append(Term("remainder", "entropy of the expected set", direction.remainder))
    terms.append(Term("direct", "direct", float(paths.direct[0]), index - 1, 1))
    evidence = paths.evidence[0].copy()
    strongest = np.unravel_index(largest(np.abs(evidence), _TERMS), evidence.shape)
    for path, source in np.stack(strongest, axis=1).tolist():
        if evidence[path, source] == 0.0:
            break
        virtual = path >= 2 * heads
        at = window.offset + source
        lag = index - at
        via = _middle(window, path, lag) if virtual else None
        kind = "virtual" if virtual else "head"
        terms.append(Term(kind, paths.names[path], float(evidence[path, source]), at, lag, via))
        evidence[path, source] = 0.0
    for kind, values in (
        ("resting", paths.resting[0]),
        ("others", evidence.sum(axis=1)),
    ):
        for name, value in zip(paths.names, values.tolist(), strict=True):
            if value:
                terms.append(Term(kind, name, value))
    return tuple(terms)
