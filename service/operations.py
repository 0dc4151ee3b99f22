"""The gRPC methods of those who keep a service; what they change is on the audit trail."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from google.protobuf.message import Message

from ..protos import detector_pb2 as pb
from . import messages, verdicts
from .engine import Engine
from .explaining import Explainer
from .reload import Reloader, read_path
from .store import Store
from .stored import StoredAlert
from .suppression import Suppression

logger = logging.getLogger("offscript")


class Operations:
    """Each method takes a request as bytes, and who sent it. `changed` tells of changed alerts."""

    def __init__(
        self, engine: Engine, store: Store, reloader: Reloader, changed: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._explainer = Explainer(engine, store)
        self._store = store
        self._reloader = reloader
        self._changed = changed

    def methods(self) -> Mapping[str, Callable[[bytes, str], Awaitable[Message]]]:
        """All of them by name."""
        return {
            "Feedback": self._feedback,
            "ListSuppressions": self._list_suppressions,
            "Revoke": self._revoke,
            "Reload": self._reload,
            "ListDeeds": self._list_deeds,
        }

    async def _feedback(self, request: bytes, who: str) -> pb.FeedbackResponse:
        message = messages.parse(pb.FeedbackRequest, request)
        stored, quiet = await asyncio.to_thread(self._record, message, who)
        self._changed()
        return pb.FeedbackResponse(
            alert=messages.write_alert(stored),
            suppression=None if quiet is None else verdicts.write_suppression(quiet, time.time()),
        )

    def _record(
        self, request: pb.FeedbackRequest, who: str
    ) -> tuple[StoredAlert, Suppression | None]:
        verdict, comment, by, wish = verdicts.read_feedback(request)
        if wish is not None:
            wish = replace(wish, evidence=self._rests_on(request.alert_id))
        return self._store.record(
            request.alert_id, verdict, comment, by, wish, who=who, grounds=self._engine.grounds
        )

    def _rests_on(self, alert_id: str) -> tuple[str, ...]:
        """Nothing where it cannot be found out, as when its model is gone: then its kind counts."""
        alert = self._store.alert(alert_id).alert
        try:
            return self._explainer.rests_on(alert)
        except Exception as error:  # noqa: BLE001 - a verdict must not be lost for it
            logger.warning("what alert %s rests on is not known: %s", alert.id, error)
            return ()

    async def _list_suppressions(self, request: bytes, _: str) -> pb.ListSuppressionsResponse:
        messages.parse(pb.ListSuppressionsRequest, request)
        found, now = await asyncio.to_thread(self._store.suppressions), time.time()
        return pb.ListSuppressionsResponse(
            suppressions=[verdicts.write_suppression(one, now) for one in found]
        )

    async def _revoke(self, request: bytes, who: str) -> pb.RevokeResponse:
        message = messages.parse(pb.RevokeRequest, request)
        ended = await asyncio.to_thread(self._store.revoke, message.suppression_id, who=who)
        return pb.RevokeResponse(suppression=verdicts.write_suppression(ended, time.time()))

    async def _reload(self, request: bytes, who: str) -> pb.ReloadResponse:
        message = messages.parse(pb.ReloadRequest, request)
        done = await self._reloader.reload(message.model, read_path(message.path), who=who)
        return pb.ReloadResponse(
            sha256=done.sha256,
            before=done.before,
            carried=done.carried.streams,
            left=done.carried.left,
            tried=done.tried,
        )

    async def _list_deeds(self, request: bytes, _: str) -> pb.ListDeedsResponse:
        message = messages.parse(pb.ListDeedsRequest, request)
        limit, before = messages.read_page(message)
        since = message.since_micros / 1e6
        found = await asyncio.to_thread(
            self._store.deeds, since=since, limit=limit + 1, before=before
        )
        page = found[:limit]
        return pb.ListDeedsResponse(
            deeds=[
                pb.Deed(
                    time_micros=messages.micros(deed.time),
                    who=deed.who,
                    action=deed.action,
                    what=deed.what,
                )
                for deed in page
            ],
            next_page_token=str(page[-1].row) if len(found) > limit else "",
        )
