"""Everything that Offscript can complain about, as one tree.

OffscriptError
├── InputError           what the caller gave does not fit
│   ├── LogError         a log that cannot be read
│   └── BudgetError      an alert budget that the data cannot support
├── ModelError           a model folder that does not load or does not fit
├── NotFoundError        something asked for by name does not exist
├── TokenError           a call without a token that the service knows
├── ScopeError           a call that its token does not allow
├── OverloadError        no room just now; try again after `retry_seconds`
└── StoreError           the alert store cannot be read or written

A message says what was expected, what came, and what to do, in one line.
"""


class OffscriptError(Exception):
    """Base of all errors that a user can do something about."""


class InputError(OffscriptError):
    """What the caller gave does not fit."""


class LogError(InputError):
    """A log that cannot be read."""


class BudgetError(InputError):
    """An alert budget that the data cannot support."""


class ModelError(OffscriptError):
    """A model folder that does not load or does not fit."""


class NotFoundError(OffscriptError):
    """Something asked for by name does not exist."""


class TokenError(OffscriptError):
    """A call without a token that the service knows."""


class ScopeError(OffscriptError):
    """A call that its token, or the lack of a certificate, does not allow."""


class OverloadError(OffscriptError):
    """No room just now; try again after `retry_seconds`."""

    def __init__(self, message: str, *, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class StoreError(OffscriptError):
    """The alert store cannot be read or written."""
