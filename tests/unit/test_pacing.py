"""Backoff, retry rules and the retry budget."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model import errors
from bulkhaul.policy.pacing import RETRY_RULES, RetryBudget, backoff_s, rule_for


class Longest:
    """Randomness that always takes the far end of the interval, and remembers the near one."""

    def __init__(self) -> None:
        self.lows: list[float] = []

    def uniform(self, a: float, b: float, /) -> float:
        """Return the far end."""
        self.lows.append(a)
        return b


def test_backoff_doubles_from_the_base_to_the_cap() -> None:
    """Full jitter draws from [0, min(cap, base * 2^(attempt-1))]: 0.1, 0.2, 0.4 ... 6.4, then 8 s for good."""
    rng = Longest()
    waits = [backoff_s(attempt, rng) for attempt in range(1, 11)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 8.0, 8.0, 8.0])
    assert set(rng.lows) == {0.0}


@given(st.integers(1, 10**9), st.integers(0, 2**32))
def test_backoff_never_overflows_nor_leaves_its_bounds(attempt: int, seed: int) -> None:
    """However often something failed, the wait is a number from 0 to the cap."""
    assert 0.0 <= backoff_s(attempt, random.Random(seed)) <= 8.0


@pytest.mark.parametrize("name", errors.__all__)
def test_retry_rules_agree_with_the_errors_retryable_flag(name: str) -> None:
    """An error says ``retryable`` exactly when there is a rule to retry it (a worker's death is the machine's own)."""
    kind = getattr(errors, name)
    rule = rule_for(name)
    retried = rule.paced or rule.max_failures > 0
    assert retried == (kind.retryable or name == "WorkerDied")


def test_every_rule_belongs_to_an_error() -> None:
    """A rule under a name that no error has would never be found."""
    assert set(RETRY_RULES) <= set(errors.__all__)


def test_an_unknown_code_is_final() -> None:
    """What nobody knows is not tried again."""
    assert rule_for("SomethingNew").max_failures == 0
    assert not rule_for("SomethingNew").paced


def test_the_budget_pays_for_a_hundred_retries() -> None:
    """Capacity 500 at 5 a retry, as in the SDKs' retry quota; a refusal costs nothing."""
    budget = RetryBudget()
    assert [budget.take() for _ in range(101)] == [True] * 100 + [False]
    assert budget.tokens == 0
    for _ in range(4):
        budget.give_back()
    assert not budget.take()
    assert budget.tokens == 4
    budget.give_back()
    assert budget.take()
    assert budget.tokens == 0


@given(st.lists(st.booleans(), max_size=300))
def test_the_budget_stays_between_nothing_and_its_capacity(moves: list[bool]) -> None:
    """No order of retries and successes takes it below 0 or above its capacity."""
    budget = RetryBudget(capacity=23)
    for take in moves:
        before = budget.tokens
        if take:
            assert budget.take() == (before >= 5)
        else:
            budget.give_back()
        assert 0 <= budget.tokens <= 23
