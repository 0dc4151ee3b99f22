"""Reads files that hold secrets, and refuses those that are no secret any more."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..model.errors import InputError

# The group may read: systemd and Kubernetes hand a service its secrets that way.
_FORBIDDEN = stat.S_IRWXO | stat.S_IWGRP


def read_private(path: Path, what: str) -> bytes:
    """What a file holds that nobody but its owner may change, and no other user may read."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = b"" if mode & _FORBIDDEN else file.read()
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror}") from error
    if mode & _FORBIDDEN:
        raise InputError(
            f"{what} {path} is open to others (mode {stat.S_IMODE(mode):03o}), expected a file "
            f"that only its owner reads: run chmod 600 {path}"
        )
    return content
