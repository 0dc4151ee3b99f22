"""Tokens: made once, kept as digests, and read from a file that nobody else may read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from offscript.cli import main
from offscript.model.errors import InputError
from offscript.service.tokens import Scope, add_token, find_token, read_tokens

DIGEST = "0" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the right mode and no token."""
    path = tmp_path / "tokens"
    path.touch(0o600)
    return path


def test_a_token_is_found_by_its_secret_which_the_file_does_not_hold(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    secrets = {name: add_token(file, name, ["send"]) for name in ("ann", "ben")}
    tokens = read_tokens(file)

    for name, secret in secrets.items():
        found = find_token(tokens, secret)
        assert found is not None
        assert found.name == name
        assert secret not in file.read_text()
    for wrong in ("", "ann", secrets["ann"][:-1], secrets["ann"] + "x", tokens[0].digest, "\udcff"):
        assert find_token(tokens, wrong) is None
    assert file.stat().st_mode & 0o777 == 0o600


def test_admin_includes_the_other_scopes_and_they_do_not_include_each_other(tmp_path: Path) -> None:
    for scope in Scope:
        add_token(tmp_path / "tokens", scope, [scope])

    allowed = {
        token.name: set(filter(token.allows, Scope)) for token in read_tokens(tmp_path / "tokens")
    }

    assert allowed == {"send": {Scope.SEND}, "read": {Scope.READ}, "admin": set(Scope)}


def test_comments_blank_lines_and_a_missing_line_end_do_no_harm(file: Path) -> None:
    file.write_text(f"# who calls\n\nann send,read {DIGEST} # the collector")
    add_token(file, "ben", ["admin", "send"])

    first, second = read_tokens(file)

    assert (first.name, set(first.scopes), first.digest) == (
        "ann",
        {Scope.SEND, Scope.READ},
        DIGEST,
    )
    assert (second.name, set(second.scopes)) == ("ben", {Scope.ADMIN, Scope.SEND})


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o601])
def test_a_file_that_others_may_read_or_change_is_refused(file: Path, mode: int) -> None:
    add_token(file, "ann", ["send"])
    file.chmod(mode)

    with pytest.raises(InputError, match=f"open to others .mode {mode:o}.*: run chmod 600 {file}"):
        read_tokens(file)
    with pytest.raises(InputError, match="open to others"):
        add_token(file, "ben", ["send"])
    file.chmod(0o640)
    assert len(read_tokens(file)) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("hunter2", "expected NAME SCOPE"),
        ("ann send hunter2", "expected NAME SCOPE"),
        (f"ann send {DIGEST} hunter2", "expected NAME SCOPE"),
        (f"hunter2! send {DIGEST}", "expected NAME SCOPE"),
        (f"ann hunter2 {DIGEST}", "expected scopes of send, read, admin"),
        (f"ann send, {DIGEST}", "expected scopes of send, read, admin"),
        (f"ben send {DIGEST}", "its name stands on an earlier line too"),
        ("\0hunter2\udcff", "expected NAME SCOPE"),
    ],
)
def test_a_line_that_is_no_token_is_named_and_never_repeated(
    file: Path, line: str, complaint: str
) -> None:
    text = f"ben read {DIGEST}\n{line}\n"
    file.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(InputError, match=f"line 2: {complaint}") as caught:
        read_tokens(file)

    assert "hunter2" not in str(caught.value)


def test_a_file_without_tokens_or_none_at_all_is_one_clear_line(file: Path) -> None:
    with pytest.raises(InputError, match="holds no token, so nobody could call: add one"):
        read_tokens(file)
    with pytest.raises(InputError, match="cannot read the token file .*: No such file"):
        read_tokens(file.parent / "none")
    with pytest.raises(InputError, match="cannot write the token file .*: No such file"):
        add_token(file.parent / "none" / "tokens", "ann", ["send"])


def test_a_token_needs_a_name_of_its_own_and_known_scopes(file: Path) -> None:
    add_token(file, "ann", ["send"])

    with pytest.raises(InputError, match="has a token named ann"):
        add_token(file, "ann", ["read"])
    for name in ("", "a b", "#a", "a\nb", "x" * 65):
        with pytest.raises(InputError, match="expected a name"):
            add_token(file, name, ["read"])
    for scopes in ([""], ["root"], ["send", ""]):
        with pytest.raises(InputError, match="expected scopes of send, read, admin"):
            add_token(file, "ben", scopes)
    assert len(read_tokens(file)) == 1


def test_a_new_token_is_printed_once_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"

    status = main(["token", str(file), "collector", "--scopes", "send,read"])

    made = capsys.readouterr()
    assert status == 0, made.err
    assert re.fullmatch(r"[\w-]{43}\n", made.out)
    assert "added collector (send,read)" in made.err
    assert made.out.strip() not in made.err + file.read_text()
