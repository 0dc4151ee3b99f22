"""What `offscript serve` is asked for on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from offscript.cli import main
from offscript.model.errors import InputError
from offscript.options import parser
from offscript.service.config import ServiceConfig
from offscript.service.options import config_of


def asked(*words: str) -> ServiceConfig:
    return config_of(parser().parse_args(["serve", *words]))


@pytest.mark.parametrize(
    ("words", "models", "default"),
    [
        (["model"], {"": "model"}, ""),
        (["web=models/web", "db=models/db"], {"web": "models/web", "db": "models/db"}, "web"),
        (["web=a", "b"], {"web": "a", "": "b"}, ""),
        (["web=a=b", "db=/x/a=b"], {"web": "a=b", "db": "/x/a=b"}, "web"),
        (["./a=b"], {"": "./a=b"}, ""),
        (["/srv/a=b", "db=/srv/a=b"], {"": "/srv/a=b", "db": "/srv/a=b"}, ""),
    ],
)
def test_what_stands_before_an_equals_sign_is_a_name_unless_it_is_of_a_path(
    words: list[str], models: dict[str, str], default: str
) -> None:
    config = asked(*words)

    assert config.models == {name: Path(path) for name, path in models.items()}
    assert config.default == default


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["web=a", "web=b"], "a name of its own, got web twice: a and b"),
        (["a", "b"], "at most one model without a name, got a and b; give NAME=MODEL"),
        (["web="], "expected NAME=MODEL or MODEL, got 'web='"),
        (["=a"], "expected NAME=MODEL or MODEL, got '=a'"),
        (["my web=a"], "expected a model's name of a letter and up to 63 .* got 'my web'"),
        (["a", "--otlp-model", "service.name"], "names: give those as NAME=MODEL"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=said):
        asked(*words)
    assert main(["serve", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("offscript: expected") or "--otlp-model" in error
    assert error.count("\n") == 1


def test_what_is_not_asked_for_is_as_the_configuration_has_it() -> None:
    assert asked("model") == ServiceConfig({"": Path("model")})


def test_a_budget_of_incidents_is_a_number_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("model", "--incidents", "25/hour").incidents_per_hour == 25
    for wrong in ("25", "0/hour", "1.5/hour", "2/day", "²/hour"):
        with pytest.raises(SystemExit, match="2"):
            asked("model", "--incidents", wrong)
        assert f"expected a number an hour like 10/hour, got '{wrong}'" in capsys.readouterr().err
