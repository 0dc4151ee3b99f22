"""Where the public data sets lie: $OFFSCRIPT_DATA, else ../shared/data beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

from ..model.errors import InputError

HERE = Path(__file__).resolve().parent


def data_folder(given: str | None = None) -> Path:
    """The folder that holds sequences/ and raw/; InputError where there is none."""
    chosen = given or os.environ.get("OFFSCRIPT_DATA")
    folder = Path(chosen) if chosen else HERE.parent.parent / "shared" / "data"
    if not (folder / "sequences").is_dir():
        raise InputError(
            f"expected the data sets' folder, with sequences/ in it, got {folder}: "
            "give it with --data or in OFFSCRIPT_DATA"
        )
    return folder
