"""The image's recipe, followed step by step in a folder that stands for the image's root.

There is no container engine in it: paths of the image are rewritten to lie in that folder, and the
base image is the Python that runs the tests. What is proven: the recipe's own files and versions
suffice, without torch, and the service starts, serves and answers its health check as another user
who may write to one folder only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from offscript.options import parser
from offscript.service.config import ServiceConfig

ROOT = Path(__file__).resolve().parent.parent.parent
UID = 10001
IMAGE_PATH = re.compile(r"(?<![\w.])/(?=(opt|var|src|model)\b)")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, rest in lines]


class Image:
    """What following the recipe makes: files under `root`, environment, and what is run."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.stages = folder / "stages"
        self.env: dict[str, str] = {}
        self.workdir = self.root
        self.stage = ""
        self.user = ""
        self.words: dict[str, list[str]] = {}  # ENTRYPOINT, CMD, and the command of HEALTHCHECK
        base = folder / "base"
        base.mkdir()
        (base / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
        self.base_path = f"{base}:/usr/bin:/bin"

    def here(self, text: str) -> str:
        """Text with the image's absolute paths rewritten."""
        return IMAGE_PATH.sub(f"{self.root}/", text)

    def follow(self, word: str, rest: str) -> None:
        if word == "FROM":
            self._begin(rest)
        elif word == "WORKDIR":
            self.workdir = Path(self.here(rest))
            self.workdir.mkdir(parents=True, exist_ok=True)
        elif word == "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                self.env[name] = self.here(value).replace("$PATH", self.env["PATH"])
        elif word == "COPY":
            self._copy(shlex.split(rest))
        elif word == "RUN":
            subprocess.run(
                ["/bin/sh", "-ec", self.here(rest)],
                cwd=self.workdir,
                env=outside() | self.env,
                check=True,
            )
        elif word == "USER":
            self.user = rest
        elif word in ("ENTRYPOINT", "CMD"):
            self.words[word] = json.loads(self.here(rest))
        elif word == "HEALTHCHECK":
            self.words[word] = json.loads(rest.partition("CMD ")[2])
        else:
            assert word in ("ARG", "LABEL", "EXPOSE", "VOLUME"), f"{word} is not known here"

    def _begin(self, rest: str) -> None:
        assert rest.startswith("${PYTHON}")
        if self.root.exists():
            self.stages.mkdir()
            self.root.rename(self.stages / self.stage)
        self.stage = rest.partition(" AS ")[2]
        self.root.mkdir()
        self.root.chmod(0o755)
        self.workdir = self.root
        self.env = {"PATH": self.base_path}

    def _copy(self, words: list[str]) -> None:
        options = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if not word.startswith("--")]
        stage = next((o.removeprefix("--from=") for o in options if o.startswith("--from=")), None)
        for source in sources:
            found = self.stages / stage / source.lstrip("/") if stage else ROOT / source
            into = Path(self.here(target)) if target.startswith("/") else self.workdir / target
            if found.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(found, into, symlinks=True, ignore=None if stage else ignored)
            else:
                shutil.copy(found, into)
            if any(option.startswith("--chown") for option in options) and os.geteuid() == 0:
                for path in (into, *into.rglob("*")):
                    os.chown(path, UID, UID)

    def as_user(self, words: list[str]) -> list[str]:
        """The command as the image's user: no privilege but to read this test's Python."""
        if os.geteuid() != 0:
            return words
        reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
        user = [f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
        return ["setpriv", *user, *reading, "--", *words]

    def start(self, words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.as_user(words),
            cwd=self.workdir,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, words: list[str]) -> str:
        """What a command prints that is run in the image by its user."""
        process = self.start(words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out

    def files(self) -> set[Path]:
        return {path for path in self.root.rglob("*") if path.is_file()}


def outside() -> dict[str, str]:
    """This environment, pip's settings included, without what belongs to the tests' own Python."""
    ours = ("PYTHON", "VIRTUAL_ENV", "NUMBA", "OFFSCRIPT")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    folder = Path(tempfile.mkdtemp(prefix="image-"))  # not pytest's, which other users cannot enter
    folder.chmod(0o755)
    if os.geteuid() != 0:
        pytest.skip("the recipe gives files to another user: run as root")
    try:
        made = Image(folder)
        for word, rest in instructions():
            made.follow(word, rest)
        yield made
    finally:
        shutil.rmtree(folder)


def test_the_image_runs_as_a_user_of_its_own_that_has_a_number() -> None:
    final = [rest for word, rest in instructions() if word == "USER"]

    assert final == [f"{UID}:{UID}"]


def test_everything_the_package_is_made_of_is_copied_into_the_image() -> None:
    copied = {
        Path(name)
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for name in shlex.split(rest)[:-1]
    }
    needed = {
        path.relative_to(ROOT)
        for path in ROOT.iterdir()
        if path.suffix == ".py"
        or ((path / "__init__.py").exists() and path.name not in ("tests", "benchmarks", "build"))
    }

    assert needed <= copied
    assert all((ROOT / path).exists() for path in copied)


def test_compose_gives_the_service_one_folder_to_write_to_and_no_privilege() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    volumes = [rest for word, rest in instructions() if word == "VOLUME"]

    assert services["offscript"]["read_only"]
    assert services["offscript"]["cap_drop"] == ["ALL"]
    assert [f"state:{volume}" for volume in volumes] == services["offscript"]["volumes"][1:]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_compose_serves_other_machines_with_tls_and_tokens_only() -> None:
    text = (ROOT / "deploy" / "compose.secured.yaml").read_text(encoding="utf-8")
    compose = yaml.safe_load(text.replace(" !override", ""))  # a tag of Compose's own
    service = compose["services"]["offscript"]
    options = parser().parse_args(shlex.split(service["command"]))
    files = [options.tls_cert, options.tls_key, options.tokens]

    assert ServiceConfig(
        {"": Path("m")},
        options.grpc,
        options.http,
        tls_cert=files[0],
        tls_key=files[1],
        tokens=files[2],
    )
    assert not options.insecure
    assert [f"/run/secrets/{name}" for name in service["secrets"]] == list(map(str, files))
    assert set(service["secrets"]) == set(compose["secrets"])
    assert "https://" in service["healthcheck"]["test"][-1]
    compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.slow
def test_the_recipe_makes_a_service_without_torch_that_writes_to_its_volume_only(
    image: Image, tiny_model: Path, tiny_log: Path
) -> None:
    assert not list(image.root.glob("opt/offscript/lib/*/site-packages/torch"))
    shutil.copytree(tiny_model, image.root / "model")
    shutil.copy(tiny_log, image.root)
    before = image.files()
    kernels = {path for path in before if path.suffix == ".nbc"}
    arguments = [re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", word) for word in image.words["CMD"]]

    service = image.start([*image.words["ENTRYPOINT"], *arguments])
    try:
        assert service.stderr is not None
        said = ""
        while "offscript: serving" not in said and (line := service.stderr.readline()):
            said += line
        found = re.search(r"on (?P<grpc>\S+) \(gRPC\) and http://127\.0\.0\.1:(?P<http>\d+)/", said)
        assert found, said
        image.run(
            [word.replace(":9464", f":{found['http']}") for word in image.words["HEALTHCHECK"]]
        )
        sent = image.run(
            ["offscript", "send", f"{image.root}/{tiny_log.name}", "--to", found["grpc"]]
        )
        service.terminate()
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.communicate()

    new = image.files() - before
    assert "sent 6,109 lines" in sent
    assert kernels
    assert not {path for path in new if path.suffix == ".nbc"}, "kernels were compiled again"
    assert image.root / "var" / "lib" / "offscript" / "offscript.db" in new
    assert all(image.root / "var" / "lib" / "offscript" in path.parents for path in new)
