"""A deploy changes what it says, always in the same way, and nothing else."""

from __future__ import annotations

from offscript.benchmarks.replay_deploy import Deploy, changed_sessions, deployed
from offscript.benchmarks.replay_events import Sent

DEPLOY = Deploy(
    renamed=(r"view page", "view product page"),
    inserted=(r"hello \d+", "release 2"),
    swapped=(r"pay \d+", r"mail sent"),
)
LINES = [
    ("old", "1 [old] hello 5"),
    ("bad", "2 [bad] hello 6"),
    ("new", "3 [new] hello 7"),
    ("new", "4 [new] view page 8"),
    ("old", "5 [old] view page 9"),
    ("new", "6 [new] pay 10"),
    (None, "    a continuation with hello 1 and view page 2"),
    ("bad", "7 [bad] pay 11"),
    ("new", "8 [new] mail sent"),
    ("bad", "9 [bad] mail sent"),
]
OWNERS = [owner for owner, _ in LINES]
SENT = [Sent(line) for _, line in LINES]


def test_only_normal_sessions_that_begin_after_the_deploy_run_the_new_version() -> None:
    assert changed_sessions(OWNERS, {"bad"}, 2) == {"new"}
    assert changed_sessions(OWNERS, set(), 1) == {"bad", "new"}


def test_a_deploy_renames_inserts_and_swaps_and_leaves_times_and_all_others_alone() -> None:
    after = [one.text for one in deployed(SENT, OWNERS, DEPLOY, {"new"})]

    assert after == [
        "1 [old] hello 5",
        "2 [bad] hello 6",
        "3 [new] hello 7",
        "3 [new] release 2",
        "4 [new] view product page 8",
        "5 [old] view page 9",
        "6 [new] mail sent",
        "    a continuation with hello 1 and view page 2",
        "7 [bad] pay 11",
        "8 [new] pay 10",
        "9 [bad] mail sent",
    ]


def test_steps_change_places_only_where_one_directly_follows_the_other_in_its_session() -> None:
    lines = ["[new] pay 1", "[new] view page 2", "[new] mail sent"]
    after = deployed([Sent(line) for line in lines], ["new"] * 3, DEPLOY, {"new"})

    assert [one.text for one in after] == [
        "[new] pay 1",
        "[new] view product page 2",
        "[new] mail sent",
    ]


def test_the_same_deploy_gives_the_same_lines_and_does_not_touch_what_it_was_given() -> None:
    given = list(SENT)

    assert list(deployed(SENT, OWNERS, DEPLOY, {"new", "bad"})) == list(
        deployed(SENT, OWNERS, DEPLOY, {"bad", "new"})
    )
    assert given == SENT


def test_named_events_keep_stream_and_time() -> None:
    deploy = Deploy(renamed=(r"^a$", "a2"), inserted=(r"^b$", "c"))
    sent = [Sent("a", "s", 1.0), Sent("b", "s", 2.0), Sent("ab", "s", 3.0)]

    assert list(deployed(sent, ["s"] * 3, deploy, {"s"})) == [
        Sent("a2", "s", 1.0),
        Sent("b", "s", 2.0),
        Sent("c", "s", 2.0),
        Sent("ab", "s", 3.0),
    ]
