"""Our errors as gRPC statuses, in this one place.

InputError → INVALID_ARGUMENT with BadRequest; NotFoundError → NOT_FOUND; TokenError →
UNAUTHENTICATED; ScopeError → PERMISSION_DENIED; ModelError → FAILED_PRECONDITION; OverloadError and
StoreError → UNAVAILABLE with RetryInfo. All carry an ErrorInfo. Anything else is a fault of ours:
logged whole, INTERNAL, and no detail to the client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import any_pb2, message
from google.rpc import (  # type: ignore[import-untyped] # it ships none
    code_pb2,
    error_details_pb2,
    status_pb2,
)
from grpc_status import rpc_status

from ..model.errors import (
    InputError,
    ModelError,
    NotFoundError,
    OffscriptError,
    OverloadError,
    ScopeError,
    StoreError,
    TokenError,
)

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = Any  # the object that gRPC passes is no instance of the class that it documents

logger = logging.getLogger("offscript")

_CODES: dict[type[OffscriptError], int] = {
    InputError: code_pb2.INVALID_ARGUMENT,
    NotFoundError: code_pb2.NOT_FOUND,
    TokenError: code_pb2.UNAUTHENTICATED,
    ScopeError: code_pb2.PERMISSION_DENIED,
    ModelError: code_pb2.FAILED_PRECONDITION,
    OverloadError: code_pb2.UNAVAILABLE,
    StoreError: code_pb2.UNAVAILABLE,
}
_KINDS = {code: kind for kind, code in _CODES.items() if code != code_pb2.UNAVAILABLE}
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNKNOWN,
}
_STORE_RETRY_SECONDS = 1.0


class FieldError(InputError):
    """One field of a message does not fit."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def to_status(error: OffscriptError) -> status_pb2.Status:
    """The google.rpc.Status that says the same."""
    code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(reason=_reason(error), domain="offscript")
    ]
    if isinstance(error, InputError):
        field = error.field if isinstance(error, FieldError) else ""
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=str(error))
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, OverloadError | StoreError):
        retry = error_details_pb2.RetryInfo()
        seconds = getattr(error, "retry_seconds", _STORE_RETRY_SECONDS)
        retry.retry_delay.FromMilliseconds(round(1000 * seconds))
        details.append(retry)
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=str(error), details=packed)


def retry_seconds(error: grpc.RpcError) -> float | None:
    """The delay that a server asked for, None if it asked for none."""
    status = rpc_status.from_call(error) if isinstance(error, grpc.Call) else None
    details: Sequence[any_pb2.Any] = status.details if status is not None else ()
    for detail in details:
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToMilliseconds()) / 1000
    return None


def may_pass(error: grpc.RpcError) -> bool:
    """Whether the same call may work a moment later."""
    return _code(error) in _PASSING


def from_rpc(error: grpc.RpcError, address: str, trouble: Callable[[str], str]) -> OffscriptError:
    """The service's error; where nothing answered, `trouble` turns gRPC's words into ours."""
    code = _code(error)
    said = (error.details() if isinstance(error, grpc.Call) else None) or code.name
    kind = _KINDS.get(code.value[0])
    if kind is not None:
        return kind(said)
    asked = retry_seconds(error)
    if asked is not None:
        return OverloadError(said, retry_seconds=asked)
    if may_pass(error):
        return OverloadError(
            f"no answer from a service at {address}: {trouble(said)}", retry_seconds=1.0
        )
    return OffscriptError(f"the service at {address} failed: {said} ({code.name})")


async def abort(context: Context, error: Exception) -> NoReturn:
    """End the call with the status of `error`."""
    if isinstance(error, OffscriptError):
        status = to_status(error)
    else:
        logger.error("a request failed for a reason of our own", exc_info=error)
        status = status_pb2.Status(
            code=code_pb2.INTERNAL, message="internal error; the service's log has the details"
        )
    await context.abort_with_status(rpc_status.to_status(status))


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    return error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN


def _reason(error: OffscriptError) -> str:
    kind = next(kind for kind in _CODES if isinstance(error, kind))
    return kind.__name__.removesuffix("Error").upper()
