"""Decides whether a part or a request that has failed is tried again, and when: the one retry rule.

    the endpoint is away   ─▶ again when requests go out          until retry_for_s is over
    throttled              ─▶ again after a pause of all requests until throttle_s without any success are over
    another error          ─▶ again after a backoff               max_failures times, paid from the host's budget
    its worker died        ─▶ again at once                       max_failures times

``RETRY_RULES`` has the numbers. What is not in it is never tried again.
"""

from __future__ import annotations

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.outage import Outage, Vain
from bulkhaul.policy.pacing import Randomness, RetryBudget, Throttling, backoff_s, rule_for

ALONE_FACTOR = 5
"""What is throttled while others succeed is borne this many times longer than a storm without any success."""

MAX_RETRY_AFTER_S = 20.0
"""Longest Retry-After that is kept to after an error that is no throttling: a proxy may ask for hours."""


class Host(msgspec.Struct, frozen=True):
    """What all parts and requests of one engine share: a failure of one of them slows all of them down.

    Attributes:
        retries: how often each is tried again; None for what suits the error.
    """

    outage: Outage
    throttling: Throttling
    budget: RetryBudget
    max_in_flight: int
    rng: Randomness
    retries: int | None = None

    def admit(self, now_s: float, *, ending: bool = False) -> float:
        """Return how long a request has to wait; 0 if it goes out now, which is taken note of.

        Args:
            ending: it ends an upload; an engine that ends has no time for calm.
        """
        until_s = float("-inf") if ending else self.throttling.calm_until_s
        if not self.outage.admits(now_s):
            until_s = max(until_s, self.outage.next_try_s)
        if now_s < until_s:
            return until_s - now_s
        self.outage.sent(now_s)
        return 0.0

    def answered(self, requests: int = 1) -> None:
        """Take note of requests that the service has done what they asked for."""
        self.outage.answered()
        self.throttling.success()
        for _ in range(requests):
            self.budget.give_back()

    def broken(self, error: ErrorInfo, now_s: float, *, in_flight: int, requests: int) -> None:
        """Take note of requests of a batch that failed like the one that its patience is asked about."""
        for _ in range(requests):
            self.outage.failed(error, now_s, in_flight=min(in_flight, self.max_in_flight))


class Patience(msgspec.Struct):
    """The failures of one part or one request.

    Attributes:
        failures: kind of error → how often, since it last made progress.
        vain: tries that met no endpoint, since it last made progress.
        throttled_since_s: instant of its first throttled try since it last made progress, infinite without one.
        deaths: workers that died with it.
    """

    failures: dict[str, int] = msgspec.field(default_factory=dict)
    vain: Vain | None = None
    throttled_since_s: float = float("inf")
    deaths: int = 0

    def failed(
        self, error: ErrorInfo, now_s: float, host: Host, *, in_flight: int, progress: bool = False
    ) -> float | ErrorInfo:
        """Take one failed try.

        Args:
            in_flight: parts and requests under way at the host, this one included.
            progress: this try brought so much that it counts as no failure.

        Returns:
            How many seconds to wait before the next try, or the error to end with.
        """
        if progress:
            self.failures.clear()
            self.vain = None
            self.throttled_since_s = float("inf")
        elif host.outage.failed(error, now_s, in_flight=min(in_flight, host.max_in_flight)):
            # The endpoint's failure, not the request's: it goes out again when requests do.
            self.vain = self.vain or Vain(now_s)
            return 0.0 if host.outage.bears(self.vain, now_s) else host.outage.given_up(error, now_s)
        else:
            self.failures[error.code] = self.failures.get(error.code, 0) + 1
        failures = self.failures.get(error.code, 0)
        rule = rule_for(error.code, host.retries)
        wait_s = backoff_s(max(1, failures), host.rng)
        if rule.paced:
            host.throttling.slow_down(now_s, in_flight=in_flight)
            self.throttled_since_s = min(self.throttled_since_s, now_s)
            again = self._bears_throttling(now_s, host.throttling)
            again = again and not (rule.counted and failures > rule.max_failures)
        else:
            again = failures <= rule.max_failures and (not rule.budgeted or host.budget.take())
        if not again:
            return error
        longest_s = host.throttling.patience_s if rule.paced else MAX_RETRY_AFTER_S
        return 0.0 if rule.at_once else max(wait_s, min(error.retry_after_s, longest_s))

    def _bears_throttling(self, now_s: float, throttling: Throttling) -> bool:
        """Whether anything has succeeded lately, and this one is not refused for ever while others succeed."""
        alone_s = ALONE_FACTOR * throttling.patience_s
        return now_s - throttling.since_s < throttling.patience_s and now_s - self.throttled_since_s < alone_s

    def reject(self) -> None:
        """Begin anew with bytes that were wrong; its failures count on, but for vain tries and deaths."""
        self.vain, self.deaths = None, 0

    def lost_worker(self, *, unsure: int = 0) -> bool:
        """Count a worker that died with it; return whether another one gets it.

        Args:
            unsure: how many of the deaths may have come before the worker had begun with it.
        """
        self.deaths += 1
        return self.deaths - unsure <= rule_for("WorkerDied").max_failures
