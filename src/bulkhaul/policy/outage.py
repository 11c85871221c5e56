"""Decides whether the endpoint is away, and when the next request may try it.

    no connection can be made, or every connection breaks   ─▶ away ─▶ one request a pause, pauses grow
    the service answers anything                            ─▶ back ─▶ all requests go out again

An outage is one event, however many requests notice it. They wait together, and their failures count neither as tries
of their own nor against the host's retry budget. The wait ends ``retry_for_s`` after the outage began.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.pacing import Randomness, backoff_s

PAUSE_CAP_S = 2.0
"""Longest pause between two requests to an endpoint that is away; its return is noticed no later than that."""

MAX_BROKEN = 8
"""After so many broken requests in a row, none answered in between, the endpoint is away, however many more are in
flight. A network that loses every tenth request breaks that many in a row once in 10⁸."""

STALE_S = 30.0
"""A failure this long after the last one belongs to another outage."""

MAX_VAIN = 8
"""Tries that each request has at least, however long each takes. Source: ``RETRY_RULES``, NetworkError."""

_GATEWAY = frozenset({502, 504})
"""What a gateway answers when the service behind it is away. Source: RFC 9110 §15.6.3, §15.6.5."""

Sign = Literal["unreached", "broken", "answered", "none"]


def sign_of(error: ErrorInfo) -> Sign:
    """Return what a failure without progress says about the endpoint.

    >>> sign_of(ErrorInfo("NetworkError", "refused", unreached=True)), sign_of(ErrorInfo("NotFound", "", status=404))
    ('unreached', 'answered')
    """
    if error.unreached:
        return "unreached"
    if error.status in _GATEWAY:
        return "broken"
    if error.code == "NetworkError":
        # A reply that broke off may have begun long ago. One that is no HTTP comes from something that is not away.
        return "none" if error.status or error.garbled else "broken"
    return "answered" if error.status else "none"


class Vain(msgspec.Struct):
    """Tries of one request that were signs of an outage, since it last made progress.

    A request may fail alone, because of what it asks for, or so slowly that each failure counts as another outage. Then
    no outage lasts long enough to end it, and its own count and time do.
    """

    began_s: float
    tries: int = 0


class Outage:
    """Whether the endpoint is away, as all requests of an engine together see it.

    Attributes:
        began_s: instant of the first failure since the service last answered, None if it has answered.
        away: whether requests wait for it.
        next_try_s: instant of the next request while it is away.
        cause: what the last failure was.
    """

    def __init__(self, retry_for_s: float, rng: Randomness) -> None:
        """Take how long to wait for an endpoint that is away; 0 for not at all."""
        self.retry_for_s = retry_for_s
        self.began_s: float | None = None
        self.away = False
        self.next_try_s = float("-inf")
        self.cause = ""
        self._rng = rng
        self._failed_s = float("-inf")
        self._broken = 0
        self._tries = 0

    def failed(self, error: ErrorInfo, now_s: float, *, in_flight: int) -> bool:
        """Take a failure that brought nothing.

        Args:
            in_flight: requests under way, this one included.

        Returns:
            Whether the endpoint is away and this failure a sign of it. Then ``bears`` decides whether the request is
            made again, and the rule for its kind of error does not.
        """
        sign = sign_of(error)
        if sign == "answered":
            self.answered()
        if sign in ("answered", "none"):
            return False
        if now_s - self._failed_s >= STALE_S:
            self.answered()
        self._failed_s = now_s
        self.cause = error.cause or error.message
        if self.began_s is None:
            self.began_s = now_s
        self._broken += 1
        if sign == "broken" and (not self.retry_for_s or self._broken < min(in_flight, MAX_BROKEN)):
            return self.away
        if self.retry_for_s and not self.away:
            self.away = True
            self.sent(now_s)
        return True

    def answered(self) -> None:
        """The service is there."""
        self.away, self.began_s, self._broken, self._tries = False, None, 0, 0

    def patient(self, now_s: float) -> bool:
        """Whether requests still wait for the endpoint."""
        return self.began_s is None or now_s - self.began_s < self.retry_for_s

    def bears(self, vain: Vain, now_s: float) -> bool:
        """Count one more try of a request as in vain, and return whether it is made again."""
        vain.tries += 1
        return self.patient(now_s) and (vain.tries <= MAX_VAIN or now_s - vain.began_s < self.retry_for_s)

    def admits(self, now_s: float) -> bool:
        """Whether a request may go out now."""
        return not self.away or now_s >= self.next_try_s

    def sent(self, now_s: float) -> None:
        """Take note of a request that goes out: while the endpoint is away, the next one waits for a pause.

        When the time is over, and not a pause later, all that waits goes out for the last time.
        """
        if self.away and self.began_s is not None and self.patient(now_s):
            self._tries += 1
            pause_s = backoff_s(self._tries, self._rng, cap_s=PAUSE_CAP_S)
            self.next_try_s = min(now_s + pause_s, self.began_s + self.retry_for_s)

    def given_up(self, error: ErrorInfo, now_s: float) -> ErrorInfo:
        """Return the error for a request that has waited in vain; its own error where the endpoint is not away."""
        if self.patient(now_s):
            return error
        began_s = now_s if self.began_s is None else self.began_s
        waited = f" for {now_s - began_s:.0f} s" if now_s - began_s >= 1 else ""
        text = f"the endpoint could not be reached{waited}; check --endpoint-url and the network"
        return msgspec.structs.replace(error, message=text, cause=error.cause or error.message)


__all__ = ["MAX_BROKEN", "MAX_VAIN", "PAUSE_CAP_S", "STALE_S", "Outage", "Sign", "Vain", "sign_of"]
