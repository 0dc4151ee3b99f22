"""The generated stubs are what `scripts/protos` makes of the .proto files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offscript.protos import detector_pb2 as pb

ROOT = Path(__file__).resolve().parent.parent.parent
GENERATED = sorted(path.name for path in (ROOT / "protos").glob("*_pb2*.py*"))


def test_the_stubs_are_fresh(tmp_path: Path) -> None:
    # Relative to the root, as the script's own default is.
    python = os.path.relpath(sys.executable, ROOT)
    subprocess.run(
        [ROOT / "scripts/protos", tmp_path],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHON": python},
    )

    assert sorted(path.name for path in tmp_path.iterdir()) == GENERATED
    for name in GENERATED:
        assert (tmp_path / name).read_text() == (ROOT / "protos" / name).read_text(), (
            f"protos/{name} is not what protos/*.proto says: run scripts/protos"
        )


@pytest.mark.parametrize("name", sorted(pb.DESCRIPTOR.message_types_by_name))
def test_every_field_has_a_comment(name: str) -> None:
    source = (ROOT / "protos/detector.proto").read_text().splitlines()
    start = next(i for i, line in enumerate(source) if line.startswith(f"message {name} {{"))
    assert source[start - 1].startswith("//")
    for field in pb.DESCRIPTOR.message_types_by_name[name].fields:
        declared = next(
            i for i, line in enumerate(source) if i > start and f" {field.name} = " in line
        )
        assert source[declared - 1].strip().startswith("//"), field.name
