"""What the service tells whoever keeps it running: gRPC health, /readyz, and a metric."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from grpc_health.v1 import health, health_pb2

from .metrics import Metrics

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_PROCESS = ""  # gRPC's name for all of it
_LOOK_SECONDS = 0.5  # between two looks at the store


class Readiness:
    """A service is ready from its start to its end, but for the time in which its store fails.

    Of `services` gRPC health says so by name; of the process as a whole it stays SERVING while the
    store fails, as it would not help to end and start it. `works` asks for the store.
    """

    def __init__(
        self, services: tuple[str, ...], works: Callable[[], bool], metrics: Metrics
    ) -> None:
        self.health = health.aio.HealthServicer()
        self.open = False  # after the start and before the end
        self._services = services
        self._works = works
        self._metrics = metrics

    def ready(self) -> bool:
        """Any thread may ask."""
        return self.open and self._works()

    async def load(self) -> None:
        """Nothing is served until `begin`."""
        await self._say(_NOT_SERVING, _PROCESS, *self._services)

    async def begin(self) -> None:
        """All is loaded."""
        await self._say(_SERVING, _PROCESS, *self._services)
        self._show(True)

    async def end(self) -> None:
        """The service stops: from now on nothing else is said."""
        self._show(False)
        await self.health.enter_graceful_shutdown()

    async def watch(self) -> None:
        """Tell of the store when it fails and when it works again, until this is cancelled."""
        worked = True
        while True:
            works = self._works()
            if works != worked:
                worked = works
                await self._say(_SERVING if works else _NOT_SERVING, *self._services)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _say(self, status: Any, *names: str) -> None:  # the stubs name no type for it
        for name in names:
            await self.health.set(name, status)

    def _show(self, ready: bool) -> None:
        self.open = ready
        self._metrics.ready.set(ready)
