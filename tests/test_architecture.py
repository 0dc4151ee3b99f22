"""The house's rules that a machine can check: who imports whom, and what every file must be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "model": set[str](),
    "protos": set[str](),
    "interpret": {"model"},
    "training": {"model", "interpret"},
    "service": {"model", "interpret", "protos"},
}
WITHOUT_TORCH = ("interpret", "service", "model", "protos")
MOST_LINES = 330
LONG: dict[str, str] = {}  # file → why it is longer
FORBIDDEN = {
    r"/wor[k]/|/root[/]|/home/[a-z]": "a path of one machine",
    r"(?i)\bissue #[0-9]|\bTOD[O]\b|\bFIXM[E]\b": "work that belongs elsewhere",
    r"(?i)\bsub-?agen[t]|\bLLM sessio[n]": "how the text came to be",
}


def files(*patterns: str) -> list[Path]:
    """The repository's own files, relative to its root; ignored ones are left out."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    paths = sorted(Path(name) for name in set(names) if name and (ROOT / name).is_file())
    return [path for path in paths if any(fnmatch(path.name, pattern) for pattern in patterns)]


def sources(folder: str) -> list[Path]:
    return [path for path in files("*.py") if path.parts[0] == folder]


def written_by_hand(path: Path) -> bool:
    return "_pb2" not in path.name


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere in it; ours begin with a dot: .model.errors."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    package = path.parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            inner = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f".{inner}.{alias.name}".replace("..", ".") for alias in node.names)


def test_the_repository_has_files() -> None:
    assert Path("pyproject.toml") in files("*.toml")


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_run_down_the_floors_only(folder: str) -> None:
    for path in sources(folder):
        for name in imports(path):
            assert not name.startswith("offscript"), f"{path} imports {name}: make it relative"
            if name.startswith("."):
                floor = name.split(".")[1]
                assert floor in {folder} | MAY_IMPORT[folder], f"{path} imports {name}"


@pytest.mark.parametrize("folder", WITHOUT_TORCH)
def test_torch_stays_out_of_the_serving_path(folder: str) -> None:
    for path in sources(folder):
        if path != Path("model/decoder.py"):
            for name in imports(path):
                assert name.split(".")[0] not in ("torch", "scipy", "sklearn"), (
                    f"{path} imports {name}"
                )
                assert not name.startswith(".model.decoder"), f"{path} imports {name}, so torch"


def test_serving_and_explaining_load_neither_torch_nor_training() -> None:
    modules = [
        ".".join(("offscript", *path.with_suffix("").parts))
        for folder in WITHOUT_TORCH
        for path in sources(folder)
        if path.name != "__init__.py" and path != Path("model/decoder.py")
    ]
    code = f"""
import importlib, sys
for name in {[*modules, "offscript.cli"]!r}:
    importlib.import_module(name)
print(*(n for n in sys.modules if n.split(".")[0] in ("torch", "sklearn")
        or n.startswith("offscript.training")))
"""

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert not run.stdout.split()


def test_the_first_line_of_every_source_file_says_what_it_is_for() -> None:
    for path in filter(written_by_hand, files("*.py")):
        text = (ROOT / path).read_text(encoding="utf-8")

        assert re.match(r'r?"""[^\s"]', text), f"{path} does not begin with its docstring"


def test_no_source_file_has_grown_a_second_thing() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in filter(written_by_hand, files("*.py"))
    }

    assert {path for path, length in lengths.items() if length > MOST_LINES} == set(LONG)


def test_every_package_is_named_in_pyproject_and_all_its_files_are_shipped() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    shipped = settings["setuptools"]["package-data"]
    apart = ("tests", "benchmarks")
    folders = {path.parent for path in files("__init__.py") if path.parts[0] not in apart}
    names = {folder: ".".join(("offscript", *folder.parts)) for folder in folders}

    assert set(names.values()) == set(settings["setuptools"]["packages"])
    for path in files("*"):
        if path.parent in names and path.parent != Path() and path.suffix != ".py":
            patterns = shipped.get(names[path.parent], [])
            assert any(fnmatch(path.name, p) for p in patterns), f"{path} is not in the wheel"


def test_no_text_tells_what_is_nobodys_business() -> None:
    text_files = files(
        "*.py", "*.md", "*.toml", "*.txt", "*.y*ml", "*.json", "*.proto", "*.service"
    )
    for path in [*text_files, *files("Dockerfile*", ".gitignore"), *sources_of_scripts()]:
        text = (ROOT / path).read_text(encoding="utf-8")
        for pattern, what in FORBIDDEN.items():
            found = re.search(pattern, text)

            assert not found, f"{path} holds {what}: {found and found[0]!r}"


def sources_of_scripts() -> list[Path]:
    return [path for path in files("*") if path.parts[0] in ("scripts", ".ci")]
