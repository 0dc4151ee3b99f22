"""What people said not to alert on again: a mechanism, in one stream or everywhere, for a time."""

from __future__ import annotations

import json
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from ..model.alert import Alert
from ..model.errors import NotFoundError
from ..model.vocabulary import NEW, SPECIAL
from . import audit, tables
from .audit import Deed
from .database import text

_COLUMNS = tables.suppressions.c
_EXAMINED = 200  # open alerts of its kind that are looked at when a suppression is made
_LINE = 1024  # characters of a line that are shown
_UNSEEN = SPECIAL[NEW]
# With the alert that it was made of, of an unseen event alone, as long as there is one.
_QUERY = sa.select(tables.suppressions, tables.alerts.c.alert.label("made_of")).outerjoin(
    tables.alerts, (tables.alerts.c.id == _COLUMNS.alert) & (_COLUMNS.observed == _UNSEEN)
)

Grounds = Callable[[Alert], Sequence[str]]
"""Names of the events that an alert rests on, strongest first; none if that is not known."""


@dataclass(frozen=True)
class Suppression:
    """Alerts of this mechanism are kept, and no one is told; times in unix seconds.

    A mechanism (`Alert.mechanism`) and the evidence are made of names, so they mean the same to the
    next model that is served under this one's name.
    """

    id: str
    alert: str  # the one that it was made of
    model_name: str
    mechanism: str
    detector: str
    observed: str
    expected: str
    stream: str | None  # None: everywhere
    comment: str
    by: str
    created: float
    until: float
    evidence: tuple[str, ...] = ()  # events that spoke most for the alert; none: all are meant
    revoked: float = math.nan
    count: int = 0  # alerts that it kept quiet
    line: str = ""  # of an unseen event, as its alert has it; empty where that is kept no longer

    @property
    def said(self) -> str:
        """For the audit trail."""
        days = (self.until - self.created) / 86_400
        of = f" of {self.model_name}" if self.model_name else ""
        where = f"everywhere{of}" if self.stream is None else "in its stream"
        return f"{self.id} of alert {self.alert}, {where} for {days:g} days"

    def active(self, now: float) -> bool:
        return now < self.until and math.isnan(self.revoked)


@dataclass(frozen=True)
class Wish:
    """To hear no more of an alert's mechanism: in its stream or everywhere, for `seconds`, where
    others rest on the same `evidence`.
    """

    everywhere: bool
    seconds: float
    evidence: tuple[str, ...] = ()


def suppression_of(alert: Alert, wish: Wish, *, comment: str, by: str, now: float) -> Suppression:
    """What a wish comes to that was made of an alert."""
    return Suppression(
        id=uuid.uuid4().hex,
        alert=alert.id,
        model_name=alert.model_name,
        mechanism=alert.mechanism,
        detector=alert.detector,
        observed=text(alert.observed),
        expected=text(alert.expected),
        stream=None if wish.everywhere else text(alert.stream),
        comment=text(comment),
        by=text(by),
        created=now,
        until=now + wish.seconds,
        evidence=wish.evidence,
        line=_line(alert),
    )


def not_known(_: Alert) -> Sequence[str]:
    """The grounds where nobody can explain."""
    return ()


def read(connection: sa.Connection) -> list[Suppression]:
    """All that are on record, newest first."""
    rows = connection.execute(_QUERY.order_by(_COLUMNS.row.desc()))
    return [_read(row) for row in rows]


Active = Mapping[tuple[str, str, str | None], Sequence[tuple[str, Sequence[str]]]]


def active(connection: sa.Connection, now: float) -> Active:
    """The ids of those that hold at this moment, and what each rests on, by model, mechanism and
    stream (None: all).
    """
    holds = (_COLUMNS.until > now) & _COLUMNS.revoked.is_(None)
    key = (_COLUMNS.model_name, _COLUMNS.mechanism, _COLUMNS.stream)
    found: dict[tuple[str, str, str | None], list[tuple[str, Sequence[str]]]] = {}
    query = sa.select(*key, _COLUMNS.id, _COLUMNS.evidence).where(holds)
    for name, how, stream, id_, evidence in connection.execute(query):
        found.setdefault((name, how, stream), []).append((id_, json.loads(evidence)))
    return found


def covering(those: Active, alert: Alert, grounds: Grounds) -> str | None:
    """The id of one that covers an alert."""
    for stream in (None, text(alert.stream)):
        for id_, evidence in those.get((alert.model_name, alert.mechanism, stream), ()):
            if not evidence or _alike(evidence, grounds(alert)):
                return id_
    return None


def add(
    connection: sa.Connection, suppression: Suppression, *, revision: int, grounds: Grounds
) -> None:
    """Put it on record, and set open alerts that it covers so; they change after `revision`."""
    evidence = json.dumps(suppression.evidence)
    values = {**asdict(suppression), "evidence": evidence, "revoked": None}
    del values["line"]  # its alert has it
    connection.execute(sa.insert(tables.suppressions).values(values))
    alerts = tables.alerts.c
    covered = sa.select(alerts.row).where(
        alerts.mechanism == suppression.mechanism,
        alerts.model_name == suppression.model_name,
        alerts.status == "open",
    )
    if suppression.stream is not None:
        covered = covered.where(alerts.stream == suppression.stream)
    rows = connection.scalars(covered.order_by(alerts.row)).all()
    if suppression.evidence:
        newest = sa.select(alerts.row, alerts.alert).where(alerts.row.in_(rows[-_EXAMINED:]))
        same = set()
        for row, alert in connection.execute(newest.order_by(alerts.row.desc())):
            found = grounds(Alert.from_json(json.loads(alert)))
            if found and _alike(suppression.evidence, found):
                same.add(row)
        rows = [row for row in rows if row in same]
    if rows:
        numbered = [{"at": row, "to": to} for to, row in enumerate(rows, start=revision + 1)]
        quiet = sa.update(tables.alerts).where(alerts.row == sa.bindparam("at"))
        set_ = {"status": "suppressed", "changed": suppression.created}
        connection.execute(quiet.values({**set_, "revision": sa.bindparam("to")}), numbered)


def revoke(connection: sa.Connection, id_: str, now: float, who: str) -> Suppression:
    """End it now; NotFoundError if there is none whose id begins so, or several."""
    begins = _COLUMNS.id.startswith(id_, autoescape=True)
    query = _QUERY.where(begins).limit(2)
    found = connection.execute(query).all() if id_ else []
    if len(found) != 1:
        raise NotFoundError(
            f"there is no suppression {id_[:64]!r}; `offscript suppressions` lists them"
            if not found
            else f"several suppressions begin with {id_[:64]!r}; give more of the id"
        )
    of_row = _COLUMNS.row == found[0].row
    if found[0].revoked is None:
        ended = sa.update(tables.suppressions).where(of_row).values(revoked=now)
        connection.execute(ended)
        audit.note(connection, Deed(now, who, "revocation", f"of suppression {found[0].id}"))
    return _read(connection.execute(_QUERY.where(of_row)).one())


def count(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Count an alert for each id."""
    for id_, alerts in Counter(ids).items():
        grown = sa.update(tables.suppressions).where(_COLUMNS.id == id_)
        connection.execute(grown.values(count=_COLUMNS.count + alerts))


def _alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether what is strongest in either is among what is strong in the other; what is not known
    is like everything.
    """
    return not other or (one[0] in other and other[0] in one)


def _read(row: sa.Row[tuple[object, ...]]) -> Suppression:
    values = row._asdict()
    made_of = values.pop("made_of")
    del values["row"]
    values["evidence"] = tuple(json.loads(row.evidence))
    values["line"] = "" if made_of is None else _line(Alert.from_json(json.loads(made_of)))
    return Suppression(**{**values, "revoked": math.nan if row.revoked is None else row.revoked})


def _line(alert: Alert) -> str:
    """The line that a mechanism is about."""
    return text((alert.text or "")[:_LINE]) if alert.observed == _UNSEEN else ""
