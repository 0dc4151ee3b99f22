"""Secrets do not reach the disk."""

from __future__ import annotations

import random
import time

import pytest

from offscript.service import redaction
from offscript.service.redaction import redact


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("login password=hunter2 ok", "hunter2"),
        ('{"user": "ann", "password": "hunter 2"}', "hunter 2"),
        ("İ said: PA\u017f\u017fWORD = hunter2", "hunter2"),
        ("the \u017fecret: hunter2, twice: secret=hunter2", "hunter2"),
        ("PGPASSWORD='s3cr et' psql", "s3cr et"),
        ("retry with api_key: abcd1234efgh", "abcd1234efgh"),
        ("access_token=ya29.a0Af-x&user=1", "ya29.a0Af-x"),
        ("Authorization: Bearer abc.def-ghi_jkl", "abc.def-ghi_jkl"),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ("key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0In0"),
        ("connect to postgres://app:pa55w0rd@db:5432/shop", "pa55w0rd"),
        ("paid with 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("paid with 5500005555555559.", "5500005555555559"),
    ],
)
def test_a_secret_is_taken_out_of_a_line(line: str, secret: str) -> None:
    other = "nothing here"

    redacted = redact([other, line, other])

    assert secret not in redacted[1]
    assert "<redacted>" in redacted[1]
    assert redacted[0] == redacted[2] == other


@pytest.mark.parametrize(
    "line",
    [
        "081109 203615 148 INFO dfs.DataNode: Received block blk_-1608999687919862906 size 91178",
        "at 1700000000000 order 4111111111111112 shipped",
        "token bucket refilled, password policy checked",
        "GET http://example.org:8080/index.html",
        "",
    ],
)
def test_a_line_without_secrets_stays_as_it_is(line: str) -> None:
    assert redact([line]) == [line]


def test_every_line_stays_a_line() -> None:
    lines = ["one\ntwo password=x", "", "three"]

    assert redact(lines) == ["one two password=<redacted>", "", "three"]
    assert redact([]) == []


@pytest.mark.parametrize(
    "piece", ["token", "-eyJ", "eyJ", "password-", "://a:", "bearer ", "4111 "]
)
def test_no_line_holds_up_the_service(piece: str) -> None:
    short, long = piece * 200, piece * (65_536 // len(piece))

    def seconds(text: str) -> float:
        began = time.perf_counter()
        redact([text])
        return time.perf_counter() - began

    fast = min(seconds(short) for _ in range(5))

    # Forty to eighty times as long; quadratic time would be thousands of times as much.
    assert min(seconds(long) for _ in range(2)) < 1000 * (fast + 1e-4)


PIECES = [
    *(
        "password",
        "PassWord",
        "pwd",
        "secret",
        "TOKEN",
        "api_key",
        "API-KEY",
        "apikey",
        "api",
        "pass",
    ),
    *(
        "Bearer ",
        "basic ",
        "bearer",
        "AKIA",
        "ASIA",
        "akia",
        "0123456789ABCDEF",
        "eyJ",
        "://",
        "eyj",
    ),
    *(
        "abcdefghijk",
        ".",
        ":",
        "=",
        " => ",
        "@",
        "/",
        "'",
        '"',
        " ",
        "-",
        "_",
        "\t",
        "\n",
        ",",
        "x",
    ),
    *("4111", "1111", "4111 1111 1111 1111", "5500-0055-5555-5559", "378282246310005", "7", "3"),
    *("\u017f", "\u0130", "\u0664111", "\ud800", "caf\u00e9", "\x00"),
]


def test_lines_looked_at_together_lose_what_every_pattern_finds_in_each_alone() -> None:
    rng = random.Random(0)
    lines = ["".join(rng.choices(PIECES, k=rng.randrange(9))) for _ in range(30_000)]

    expected = []
    for line in lines:
        text = line.replace("\n", " ")
        for _, pattern, replacement in redaction._PATTERNS:
            text = pattern.sub(replacement, text)
        expected.append(redaction._CARD.sub(redaction._redact_card, text))

    assert redact(lines) == expected
    assert sum("<redacted>" in line for line in expected) > 1000
