"""Our errors as statuses of gRPC and of HTTP, in this one place.

InputError → INVALID_ARGUMENT with BadRequest, 400; TooLargeError → RESOURCE_EXHAUSTED, 413;
MediaError is of HTTP alone, 415; NotFoundError → NOT_FOUND; TokenError → UNAUTHENTICATED, 401;
ScopeError → PERMISSION_DENIED, 403; LimitError → RESOURCE_EXHAUSTED with RetryInfo, 429 with
Retry-After; ModelError → FAILED_PRECONDITION; OverloadError and StoreError
→ UNAVAILABLE with RetryInfo, 503 with Retry-After. All carry an ErrorInfo. Anything else is a fault
of ours: logged whole, INTERNAL or 500, and no detail to the client.
"""

from __future__ import annotations

import logging
import math
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


class TooLargeError(InputError):
    """A message has more bytes than may be sent at a time."""


class LimitError(OverloadError):
    """A sender sends more than it may; what it sends is taken after `retry_seconds`."""


class MediaError(InputError):
    """A body comes in a form that is not read here."""


# What is special stands before what it is a kind of.
_CODES: dict[type[OffscriptError], int] = {
    TooLargeError: code_pb2.RESOURCE_EXHAUSTED,
    InputError: code_pb2.INVALID_ARGUMENT,
    NotFoundError: code_pb2.NOT_FOUND,
    TokenError: code_pb2.UNAUTHENTICATED,
    ScopeError: code_pb2.PERMISSION_DENIED,
    ModelError: code_pb2.FAILED_PRECONDITION,
    LimitError: code_pb2.RESOURCE_EXHAUSTED,
    OverloadError: code_pb2.UNAVAILABLE,
    StoreError: code_pb2.UNAVAILABLE,
}
_HTTP: dict[type[OffscriptError], int] = {
    TooLargeError: 413,
    MediaError: 415,
    InputError: 400,
    TokenError: 401,
    ScopeError: 403,
    LimitError: 429,
    OverloadError: 503,
    StoreError: 503,
}
_KINDS = {
    code: kind
    for kind, code in _CODES.items()
    if kind is not LimitError and code != code_pb2.UNAVAILABLE  # these are told by their RetryInfo
}


def to_status(error: Exception) -> status_pb2.Status:
    """The google.rpc.Status that says the same."""
    if not isinstance(error, OffscriptError):
        logger.error("a request failed for a reason of our own", exc_info=error)
        return status_pb2.Status(
            code=code_pb2.INTERNAL, message="internal error; the service's log has the details"
        )
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
        retry.retry_delay.FromMilliseconds(round(1000 * _delay(error)))
        details.append(retry)
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=str(error), details=packed)


def to_http(error: Exception) -> tuple[int, dict[str, str]]:
    """The status of HTTP that says the same, and the headers that go with it."""
    status = next((status for kind, status in _HTTP.items() if isinstance(error, kind)), 500)
    if status == 401:
        return status, {"WWW-Authenticate": "Bearer"}
    return status, {"Retry-After": str(math.ceil(_delay(error)))} if status in (429, 503) else {}


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
    asked = retry_seconds(error)
    if asked is not None:
        return OverloadError(said, retry_seconds=asked)
    kind = _KINDS.get(code.value[0])
    if kind is not None:
        return kind(said)
    if may_pass(error):
        return OverloadError(
            f"no answer from a service at {address}: {trouble(said)}", retry_seconds=1.0
        )
    return OffscriptError(f"the service at {address} failed: {said} ({code.name})")


async def abort(context: Context, error: Exception) -> NoReturn:
    """End the call with the status of `error`."""
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


def _delay(error: Exception) -> float:
    return float(getattr(error, "retry_seconds", _STORE_RETRY_SECONDS))


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    return error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN


def _reason(error: OffscriptError) -> str:
    kind = next(kind for kind in _CODES if isinstance(error, kind))
    return kind.__name__.removesuffix("Error").upper()
