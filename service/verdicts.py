"""Messages of the wire ↔ verdicts of people, and what they want to hear no more of."""

from __future__ import annotations

from ..protos import detector_pb2 as pb
from .errors import FieldError
from .messages import VERDICTS, micros
from .suppression import Suppression, Wish

_LONGEST_SECONDS = 10 * 366 * 86_400  # of a suppression


def read_feedback(request: pb.FeedbackRequest) -> tuple[str, str, str, Wish | None]:
    """Verdict, comment, who says so, and what is to be suppressed."""
    if request.verdict not in VERDICTS:
        raise FieldError(
            "verdict",
            "expected VERDICT_NORMAL, VERDICT_ANOMALOUS, VERDICT_ACKNOWLEDGED, VERDICT_RESOLVED or "
            f"VERDICT_OPEN, got {request.verdict}",
        )
    for field, most in (("comment", 4096), ("by", 256)):
        length = len(getattr(request, field))
        if length > most:
            raise FieldError(field, f"expected at most {most} characters, got {length}")
    verdict, wish = VERDICTS[request.verdict], None
    if request.HasField("suppress"):
        wish = Wish(request.suppress.everywhere, float(request.suppress.seconds))
        if verdict != "normal":
            raise FieldError("suppress", f"expected the verdict normal with it, got {verdict}")
        if not 0 < wish.seconds <= _LONGEST_SECONDS:
            raise FieldError(
                "suppress.seconds",
                f"expected 1 to {_LONGEST_SECONDS}, ten years, got {request.suppress.seconds}",
            )
    return verdict, request.comment, request.by, wish


def write_suppression(suppression: Suppression, now: float) -> pb.Suppression:
    """A suppression as it stands at unix time `now`."""
    return pb.Suppression(
        id=suppression.id,
        alert_id=suppression.alert,
        model_name=suppression.model_name,
        detector=suppression.detector,
        observed=suppression.observed,
        expected=suppression.expected,
        evidence=suppression.evidence,
        line=suppression.line,
        stream=suppression.stream,
        comment=suppression.comment,
        by=suppression.by,
        created_micros=micros(suppression.created),
        until_micros=micros(suppression.until),
        revoked_micros=micros(suppression.revoked),
        count=suppression.count,
        active=suppression.active(now),
    )
