"""What a client shows the service: complete, private, and never sent in the clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offscript.model.errors import InputError
from offscript.service.client import Client
from offscript.service.credentials import Credentials, read_token
from offscript.tests.service.certificates import Authority


def test_a_token_leaves_this_machine_encrypted_or_not_at_all(authority: Authority) -> None:
    for address in ("192.0.2.1:50051", "example.org:50051"):
        with pytest.raises(InputError, match=f"the token would go to {address} unencrypted"):
            Client(address, credentials=Credentials(token="hunter2"))
        Client(address, credentials=Credentials(ca=authority.cert, token="hunter2")).close()
    Client("127.0.0.1:50051", credentials=Credentials(token="hunter2")).close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("errors resolving h:1: [field:lookup error:failed: Name not found]", "Name not found"),
        ("failed to connect; last error: UNKNOWN: no route to [::1]", "no route to [::1]"),
    ],
)
def test_a_reason_ends_with_no_bracket_that_it_does_not_begin(said: str, reason: str) -> None:
    assert Credentials().trouble(said) == reason


def test_a_token_is_read_from_a_private_file_else_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    monkeypatch.setenv("OFFSCRIPT_TOKEN", " from-the-environment\n")

    assert read_token(None) == "from-the-environment"
    with pytest.raises(InputError, match="expected a token in .*, got an empty file"):
        read_token(file)
    file.write_text("from-the-file\n")
    assert read_token(file) == "from-the-file"
    file.chmod(0o644)
    with pytest.raises(InputError, match="open to others"):
        read_token(file)
    monkeypatch.delenv("OFFSCRIPT_TOKEN")
    assert read_token(None) == ""


@pytest.mark.parametrize("token", ["two words", "line\nline", "snow ☃", "\0", "\udcff"])
def test_what_no_header_can_carry_is_no_token_and_not_repeated(token: str) -> None:
    with pytest.raises(InputError, match="without blanks or special letters") as caught:
        Credentials(token=token)

    assert token not in str(caught.value)


def test_a_token_does_not_show_when_credentials_are_printed() -> None:
    assert "hunter2" not in repr(Credentials(token="hunter2"))


def test_certificates_that_do_not_fit_are_one_clear_line(
    authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.issue("client")
    _, other_key = authority.issue("other")
    empty = tmp_path / "empty"
    empty.touch()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"cert": cert}, "--cert and --key together"),
        ({"key": key}, "--cert and --key together"),
        ({"cert": cert, "key": key}, "expected --ca beside --cert"),
        ({"ca": tmp_path / "none"}, "cannot read the certificates of authorities .*No such file"),
        ({"ca": empty}, "expected the certificate of an authority in"),
        ({"ca": key}, "expected the certificate of an authority in"),
        ({"ca": cert, "cert": cert, "key": other_key}, "and its key.*: key values mismatch"),
        ({"ca": cert, "cert": key, "key": key}, "expected a certificate in"),
    ]

    for files, complaint in cases:
        with pytest.raises(InputError, match=complaint):
            Client("127.0.0.1:50051", credentials=Credentials(**files))
