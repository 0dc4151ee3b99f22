"""Budgets are understood as users say them, and refused where the data cannot support them."""

from __future__ import annotations

import math

import pytest

from offscript.model.errors import BudgetError, InputError
from offscript.training.budget import Budget, Size, parse_budget, supported


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5/day", Budget(5, 1, "day")),
        ("0.5 per day", Budget(0.5, 1, "day")),
        ("1/1000 streams", Budget(1, 1000, "stream")),
        ("1 in 10,000 streams", Budget(1, 10_000, "stream")),
        ("1/10k", Budget(1, 10_000, "stream")),
        ("10/million events", Budget(10, 1e6, "event")),
    ],
)
def test_a_budget_is_read_as_it_is_said(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "five", "0/day", "1/0 streams", "-1/day", "3/fortnight", "1"])
def test_what_is_no_budget_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InputError, match="5/day, 1/1000 streams"):
        parse_budget(text)


def test_rates_count_streams_events_and_days() -> None:
    size = Size(streams=2000, events=40_000, days=4.0)

    assert Budget(1, 1000, "stream").rate(size) == 0.001
    assert Budget(5, 1, "day").rate(size) == 0.01
    assert Budget(100, 1e6, "event").rate(size) == pytest.approx(0.002)


def test_a_budget_that_the_data_cannot_support_is_refused_with_the_smallest_possible() -> None:
    size = Size(streams=499, events=5000, days=2.0)

    with pytest.raises(BudgetError, match="smallest that this data supports is 1/500 streams"):
        supported(Budget(1, 1000, "stream"), size)
    with pytest.raises(BudgetError, match="smallest that this data supports is 5/10 days"):
        supported(Budget(1, 10, "day"), size)


def test_without_a_wish_the_smallest_supported_budget_is_taken() -> None:
    assert supported(None, Size(499, 5000, 2.0)) == Budget(1, 500, "stream")
    assert supported(None, Size(5000, 50_000, 2.0)) == Budget(1, 1000, "stream")


def test_a_budget_by_the_day_needs_times_that_differ() -> None:
    with pytest.raises(BudgetError, match="needs events with times, and these have none"):
        Budget(5, 1, "day").rate(Size(10, 100, math.nan))
    with pytest.raises(BudgetError, match="and these are all of the same time"):
        Budget(5, 1, "day").rate(Size(10, 100, 0.0))
