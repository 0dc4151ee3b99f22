"""What came in a stream after an alert."""

from __future__ import annotations

from ..model.alert import Alert
from ..model.vocabulary import END


def sequel(alert: Alert, length: int, kept: tuple[int, ...]) -> tuple[int, ...]:
    """The tokens after the alert's last one, of a stream of `length` whose last ones are `kept`.

    None of them if they are not all there, if the stream was forgotten meanwhile and has begun
    anew, or if the alert is of its end.
    """
    came = length - 1 - alert.position  # the mark of the beginning is a token, too
    if alert.tokens[-1] == END or not 0 < came < len(kept):
        return ()
    before = kept[:-came][-len(alert.tokens) :]
    return kept[-came:] if before == alert.tokens[-len(before) :] else ()
