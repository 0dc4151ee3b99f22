"""The gate of the gRPC port: which scope each method needs, and no call without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from .access import Access
from .errors import Context, abort
from .intake import LOGS_SERVICE
from .servicer import SERVICE
from .tokens import Scope

# None: whoever keeps the service running asks without a token.
NEEDED: dict[str, Scope | None] = {
    f"/{SERVICE}/Score": Scope.SEND,
    f"/{SERVICE}/ScoreOnce": Scope.SEND,
    f"/{LOGS_SERVICE}/Export": Scope.SEND,
    f"/{SERVICE}/ListAlerts": Scope.READ,
    f"/{SERVICE}/WatchAlerts": Scope.READ,
    f"/{SERVICE}/Explain": Scope.READ,
    f"/{SERVICE}/DescribeModel": Scope.READ,
    f"/{SERVICE}/ListSuppressions": Scope.READ,
    f"/{SERVICE}/Feedback": Scope.ADMIN,
    f"/{SERVICE}/Revoke": Scope.ADMIN,
    f"/{SERVICE}/Reload": Scope.ADMIN,
    f"/{SERVICE}/ListDeeds": Scope.ADMIN,  # names of tokens are told to no other caller
    f"/{health.SERVICE_NAME}/Check": None,
    f"/{health.SERVICE_NAME}/List": None,
    f"/{health.SERVICE_NAME}/Watch": None,
    f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": Scope.READ,
}

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = Any  # what gRPC passes knows no type arguments


class Gate(grpc.aio.ServerInterceptor):
    """Lets calls through that `access` allows. A method that is not in the table is none."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if method not in NEEDED:
            return None  # UNIMPLEMENTED
        scope = NEEDED[method]
        call = method.rpartition("/")[2]
        headers = dict(handler_call_details.invocation_metadata)
        authorization = str(headers.get("authorization", ""))
        refusal = None if scope is None else self._access.refusal(authorization, scope, call)
        if refusal is None:
            return await continuation(handler_call_details)

        async def refuse(_: object, context: Context) -> None:
            self._access.record(refusal, call, context.peer())
            await abort(context, refusal.error)

        # Whatever the kind of the method: this kind waits for no request.
        return grpc.stream_stream_rpc_method_handler(refuse)
