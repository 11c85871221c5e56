"""Has the numbers of retries and the pauses between them: rules by error, backoff, retry budget, throttling.

backoff(attempt)  ~  uniform(0, min(cap, base · 2^(attempt−1)))          full jitter
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from bulkhaul.policy.window import Window


class Randomness(Protocol):
    """The one method of ``random.Random`` that is used here, injected so that tests can script it."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number in [a, b]."""
        ...


BACKOFF_BASE_S = 0.1
"""First interval. Source: AWS SDKs reference guide, "Retry behavior", which uses a base well below one second."""

BACKOFF_CAP_S = 8.0
"""Longest interval: short against ``Timeouts.throttle_s``, so that a storm's end is noticed soon."""


def backoff_s(attempt: int, rng: Randomness, *, base_s: float = BACKOFF_BASE_S, cap_s: float = BACKOFF_CAP_S) -> float:
    """Return how long to wait before the next try after ``attempt`` (1-based) failures, in [0, cap_s].

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
    """
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(attempt - 1, 30)))


class RetryRule(msgspec.Struct, frozen=True):
    """How often a kind of failure may be tried again.

    Attributes:
        max_failures: failures without progress that a part or a request may have of this kind; one more is final.
        paced: bounded by ``Timeouts.throttle_s`` instead, and slows the whole host down.
        budgeted: each retry is paid from the host-wide budget.
        at_once: waiting does not mend it, so the next try follows at once.
        counted: ``max_failures`` holds also where it is paced.
    """

    max_failures: int = 0
    paced: bool = False
    budgeted: bool = True
    at_once: bool = False
    counted: bool = False


RETRY_RULES: dict[str, RetryRule] = {
    "NetworkError": RetryRule(max_failures=8),
    "ServerError": RetryRule(max_failures=8),
    "StallTimeout": RetryRule(max_failures=4),
    # Wrong once may be a stray cache or a truncated reply; twice is how the endpoint works.
    "UnexpectedReply": RetryRule(max_failures=1),
    # A body that was garbled on the way; a third time it is the sender that garbles it.
    "BodyCorrupted": RetryRule(max_failures=2),
    "Throttled": RetryRule(paced=True, budgeted=False),
    "ExpiredCredentials": RetryRule(max_failures=1, budgeted=False, at_once=True),
    # What kills two workers would kill the next one.
    "WorkerDied": RetryRule(max_failures=1, budgeted=False, at_once=True),
}
"""By class name of the error; what is not here is not tried again."""

FINAL = RetryRule()
"""The rule of every error that has none: never again."""


def rule_for(code: str, retries: int | None = None) -> RetryRule:
    """Return the rule for an error's class name.

    Args:
        retries: how often the user wants anything to be tried again; None for what suits the error. Where bytes came
            wrong it only lowers the number, and new credentials or another worker are no retry in that sense.
    """
    rule = RETRY_RULES.get(code, FINAL)
    if retries is None or rule is FINAL or rule.at_once:
        return rule
    if code in _WRONG_BYTES:
        retries = min(retries, rule.max_failures)
    return msgspec.structs.replace(rule, max_failures=retries, counted=True)


MAX_ATTEMPTS = "AWS_MAX_ATTEMPTS"


def retries_of(environment: Mapping[str, str]) -> int | None:
    """Return how often the SDKs' variable has requests tried again, None where it is not set, or no number from 1.

    >>> retries_of({"AWS_MAX_ATTEMPTS": "5"}), retries_of({"AWS_MAX_ATTEMPTS": "0"}), retries_of({})
    (4, None, None)
    """
    return retries_in(environment.get(MAX_ATTEMPTS, ""))


def retries_in(attempts: str) -> int | None:
    """Return how often something is tried again that is tried so often in all, None where that is no number from 1."""
    text = attempts.strip()
    return int(text) - 1 if re.fullmatch("[1-9][0-9]{0,3}", text) else None


_WRONG_BYTES = frozenset({"UnexpectedReply", "BodyCorrupted"})


RETRY_COST = 5
"""Tokens of one retry. Source: the SDKs' retry quota: capacity 500, a retry costs 5, a success gives 1 back."""


class RetryBudget:
    """The host-wide allowance for retries: a service that fails all requests is not flooded with retries.

    Source: AWS SDKs reference guide, "Retry behavior" (retry quota).
    """

    def __init__(self, capacity: int = 500) -> None:
        self.capacity = capacity
        self.tokens = capacity

    def take(self) -> bool:
        """Pay for one retry; False when the budget is spent."""
        if self.tokens < RETRY_COST:
            return False
        self.tokens -= RETRY_COST
        return True

    def give_back(self) -> None:
        """Count one success."""
        self.tokens = min(self.capacity, self.tokens + 1)


class Throttling:
    """What the host does when the service asks it to slow down: it cuts the window and sends nothing for a while.

    All requests wait, not only the refused ones: others would take their place, and the service would notice no pause.

    Attributes:
        patience_s: throttling is borne for this long without a success.
        calm_until_s: nothing goes out before.
        since_s: instant of the first refusal since the last success, infinite without one.
    """

    def __init__(self, window: Window, patience_s: float, rng: Randomness) -> None:
        self.patience_s = patience_s
        self.calm_until_s = float("-inf")
        self.since_s = float("inf")
        self._window = window
        self._rng = rng
        self._cuts = 0  # of the window since the last success

    def slow_down(self, now_s: float, *, in_flight: int) -> None:
        """The service asked for less while ``in_flight`` requests were under way."""
        if self._window.slow_down(now_s, in_flight=in_flight):
            self._cuts += 1
        self.since_s = min(self.since_s, now_s)
        self.calm_until_s = max(self.calm_until_s, now_s + backoff_s(self._cuts, self._rng))

    def success(self) -> None:
        """The service did what it was asked for."""
        self.since_s = float("inf")
        self._cuts = 0

    def forget(self) -> None:
        """Nothing was under way: a storm that nobody waited in says nothing about now."""
        self.since_s = float("inf")
