"""Templates: what is left of a line, learned and frozen."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest

from offscript.model.errors import ModelError
from offscript.model.skeleton import digit_free, digit_free_all
from offscript.model.templates import UNSEEN, Templates

USERS = ("alice", "bob", "carol", "dave", "eve", "frank")


def _match(templates: Templates, line: str) -> int:
    return templates.match_all([line])[0]


def postgres(seed: int = 0) -> list[str]:
    """Lines of a database's log, as many users and numbers as there can be."""
    choose = random.Random(seed)
    lines = []
    for _ in range(100):
        user = choose.choice(USERS)
        number = choose.randrange(10**6)
        ids = ", ".join(str(choose.randrange(100)) for _ in range(choose.randrange(1, 9)))
        lines += [
            f"[{number}] {user}@bank LOG:  {text}"
            for text in (
                f"connection authorized: user={user} database=bank",
                f"statement: SELECT balance FROM accounts WHERE id = {number};",
                f"statement: SELECT balance FROM tellers WHERE id = {number};",
                f"statement: UPDATE accounts SET balance = balance + {number} WHERE id = {number};",
                f"statement: INSERT INTO notes (id, text) VALUES ({number}, '{user}: {number}');",
                f"execute <unnamed>: SELECT c FROM history WHERE id IN ({ids})",
                "statement: COMMIT;",
            )
        ]
        lines.append(f'[{number}] {user}@bank FATAL:  no entry for user "{user}" ({number / 7} ms)')
    return lines


def test_variables_are_taken_out_and_words_stay() -> None:
    lines = [f"Received block blk_{i} of size {i * 1.5} from /10.0.0.{i}" for i in range(20)]
    lines += [f"session opened for user {user} by (uid={i})" for i, user in enumerate(USERS)]
    lines += [f"session closed for user {user}" for user in USERS]

    templates = Templates.learn(lines)

    assert templates.texts == (
        "Received block <*> of size <*> from <*>",
        "session closed for user <*>",
        "session opened for user <*> by (uid=<*>)",
    )


def test_statements_are_kept_apart_by_verb_and_table_but_not_by_user_or_literal() -> None:
    templates = Templates.learn(postgres())

    assert templates.texts == (
        '[<*>] <*> FATAL:  no entry for user "<*>" (<*> ms)',
        "[<*>] <*> LOG:  connection authorized: user=<*> database=bank",
        "[<*>] <*> LOG:  execute <unnamed>: SELECT c FROM history WHERE id IN (<*>)",
        "[<*>] <*> LOG:  statement: COMMIT;",
        "[<*>] <*> LOG:  statement: INSERT INTO notes (id, text) VALUES (<*>, <*>);",
        "[<*>] <*> LOG:  statement: SELECT balance FROM accounts WHERE id = <*>;",
        "[<*>] <*> LOG:  statement: SELECT balance FROM tellers WHERE id = <*>;",
        "[<*>] <*> LOG:  statement: UPDATE accounts SET balance = balance + <*> WHERE id = <*>;",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "COPY accounts TO '/tmp/x';",
        "GRANT ALL ON accounts TO alice;",
        "SELECT secret FROM accounts WHERE id = 5;",
        "SELECT balance FROM history WHERE id = 5;",
        "SELECT balance FROM accounts WHERE id = id;",
        "SELECT balance FROM accounts WHERE id = 5 OR 1=1;",
        "DELETE FROM accounts WHERE id = 5;",
    ],
)
def test_another_statement_is_unseen(statement: str) -> None:
    templates = Templates.learn(postgres())

    assert _match(templates, f"[7] alice@bank LOG:  statement: {statement}") == UNSEEN


def test_a_statement_on_other_values_by_another_user_is_known() -> None:
    templates = Templates.learn(postgres())

    template = _match(
        templates, "[7] zoe@bank LOG:  statement: SELECT balance FROM accounts WHERE id = -9.5;"
    )

    assert "FROM accounts" in templates.texts[template]


def test_the_number_of_a_prepared_statement_does_not_hide_it() -> None:
    tables = ("accounts", "tellers", "history", "notes", "users", "branches", "orders", "items")
    lines = [f"execute S_{i}: select * from {t} where id = $1" for i in range(3) for t in tables]

    templates = Templates.learn(lines)

    assert len(templates) == len(tables)
    assert UNSEEN not in templates.match_all(lines)
    assert _match(templates, "execute S_9: select * from secrets where id = $1") == UNSEEN


def test_a_sentence_is_no_statement() -> None:
    lines = [f"Copy {name}.txt to backup" for name in USERS]

    assert Templates.learn(lines).texts == ("Copy <*> to backup",)


def test_methods_of_a_protocol_are_kept_apart() -> None:
    methods = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
    lines = [f'10.0.0.{i} "{m} /user/{i} HTTP/1.1" 200' for i in range(9) for m in methods]

    assert len(Templates.learn(lines)) == len(methods)


@pytest.mark.parametrize(
    "variable",
    [
        "9f4ef63",
        "0xffffee",
        "11760334-ac63-4cc8-9086-578422af8c99",
        "10.251.73.220:50010",
        "/var/log/app/{}7.log",
        "-3.5e-7",
        "https://example.org/{}?page=5&user={}",
    ],
)
def test_a_variable_makes_no_new_template(variable: str) -> None:
    choose = random.Random(3)
    lines = [
        f"request of {variable.format(user, user)} took {choose.randrange(10**6)} ms"
        for user in USERS * 3
    ]

    templates = Templates.learn(lines)

    assert templates.texts == ("request of <*> took <*> ms",)
    assert _match(templates, lines[0].replace("took ", "took 99.")) == 0


def test_an_unseen_line_matches_nothing() -> None:
    templates = Templates.learn(["job 5 started", "job 6 done"])

    assert _match(templates, "job 7 failed") == UNSEEN
    assert _match(templates, "job 7 started again") == UNSEEN
    assert _match(templates, "") == UNSEEN
    assert _match(Templates(()), "anything") == UNSEEN


def test_of_several_templates_the_most_specific_wins() -> None:
    templates = Templates(("<*> <*> <*>", "<*> b c", "a <*> <*>", "a <*> c"))

    assert _match(templates, "a x c") == 3
    assert _match(templates, "a x y") == 2
    assert _match(templates, "x b c") == 1
    assert _match(templates, "x y z") == 0


def test_the_order_of_the_lines_does_not_matter() -> None:
    lines = postgres()
    shuffled = random.Random(1).sample(lines, len(lines))

    assert Templates.learn(shuffled) == Templates.learn(lines)
    assert Templates.learn(lines * 2) == Templates.learn(lines)


def random_lines(choose: random.Random) -> list[str]:
    pieces = [
        *"abxX019 =,;:()[]{}\"'<>*?/-_.@|\t",
        "  ",
        "é",
        "\ud800",
        "\n",
        "<*>",
        "0x5f",
        "'a b'",
    ]
    pieces += ["SELECT ", " FROM ", "user ", "Jan ", " from "]
    return ["".join(choose.choices(pieces, k=choose.randrange(25))) for _ in range(40)]


def test_whatever_was_learned_is_known_and_survives_being_saved() -> None:
    choose = random.Random(0)
    for _ in range(50):
        lines = random_lines(choose)
        templates = Templates.learn(lines)

        loaded = Templates.from_json(json.loads(json.dumps(templates.to_json())))

        known = templates.match_all(lines)
        assert UNSEEN not in known
        assert [_match(loaded, line) for line in lines] == known
        assert len(set(templates.texts)) == len(templates)


def test_the_cache_never_changes_a_result() -> None:
    """Lines that differ in digits alone are the same to a cold and to a warm matcher."""
    choose = random.Random(1)
    for _ in range(10):
        lines = random_lines(choose)
        warm = Templates.learn(lines)
        warm.match_all(lines)

        for line in lines:
            other = "".join(
                letter + choose.choice(["", "", "", "7", "90"])
                for letter in line
                if letter not in "0123456789" or choose.random() < 0.5
            )
            assert digit_free(other) == digit_free(line)
            assert _match(warm, other) == _match(Templates(warm.texts), line)


def test_keys_of_many_lines_are_the_keys_of_each() -> None:
    lines = ["a1b", "two\nlines 2", "", "9", "\ud800", "x" * 20_000]

    assert digit_free_all(lines) == [digit_free(line) for line in lines]
    assert digit_free_all(lines[:1]) == [b"ab"]
    assert digit_free_all(["a", "b" * 9000]) == [digit_free("a"), digit_free("b" * 9000)]
    assert digit_free_all([]) == []


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offscript.model.templates.CACHED_KEYS", 100)
    templates = Templates(("known <*>",))
    letters = str.maketrans("0123456789", "abcdefghij")

    for start in range(0, 1000, 10):
        templates.match_all([f"w{i:09}".translate(letters) for i in range(start, start + 10)])
        assert _match(templates, "known 5") == 0

        assert len(templates._recent) + len(templates._older) <= 100


@pytest.mark.parametrize(
    "line", ["a=1 " * 250_000, "' " * 500_000, "[" * 1_000_000, "5," * 500_000, "w " * 500_000]
)
def test_a_line_of_a_million_characters_is_one_template(line: str) -> None:
    templates = Templates.learn([line])

    assert _match(templates, line) == 0
    assert len(templates.texts[0]) < 20_000


def test_what_is_no_list_of_templates_is_refused() -> None:
    with pytest.raises(ModelError, match="expected a list of strings"):
        Templates.from_json({"texts": [1]})


def grouping_accuracy(predicted: list[int], true: list[str]) -> float:
    """Share of the lines whose template has exactly the lines of one true template."""
    of_predicted, of_true = defaultdict(set), defaultdict(set)
    for line, (template, event) in enumerate(zip(predicted, true, strict=True)):
        of_predicted[template].add(line)
        of_true[event].add(line)
    groups = {frozenset(group) for group in of_predicted.values()}
    return sum(len(group) for group in of_true.values() if frozenset(group) in groups) / len(true)


@pytest.mark.slow
def test_grouping_agrees_with_the_true_templates_of_sixteen_systems(data: Path) -> None:
    accuracies = {}
    with tarfile.open(data / "raw" / "loghub_2k.tar.xz") as archive:
        for member in archive.getmembers():
            if not member.name.endswith("_structured.csv"):
                continue
            content = archive.extractfile(member)
            assert content is not None
            rows = list(csv.DictReader(io.TextIOWrapper(content, "utf-8", newline="")))
            lines = [row["Content"] for row in rows]
            templates = Templates.learn(lines)
            known = templates.match_all(lines)

            assert UNSEEN not in known
            # A key never stands for two true templates.
            events = defaultdict(set)
            for line, row in zip(lines, rows, strict=True):
                events[digit_free(line)].add(row["EventId"])
            assert all(len(group) == 1 for group in events.values()), member.name
            accuracies[member.name] = grouping_accuracy(known, [row["EventId"] for row in rows])

    assert len(accuracies) == 16
    assert sum(accuracies.values()) / 16 >= 0.90, accuracies
