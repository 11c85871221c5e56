"""Keeps what arrived at the server: numbers requests, parts and attempts, and wakes tests that wait for one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.faults import Request

#: Bytes that go out wake nobody, so a waiting test looks again this often.
_POLL_S = 0.01
_NUMBERED = frozenset({"UploadPart", "UploadPartCopy"})
_MARKERS = ("continuation-token", "key-marker", "upload-id-marker", "version-id-marker", "part-number-marker")


class Stored(Protocol):
    """What is known of an object before it is asked for."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""

    def part_range(self, number: int) -> tuple[int, int] | None:
        """Return the half-open range of part ``number`` (1-based), or None if there is none."""


@dataclass(slots=True)
class _Part:
    """A part as its requests showed it: which it was, where the first began, how many came."""

    index: int
    start: int
    attempts: int = 0


class Record:
    """The requests of one server. Its thread adds to it; any thread may look."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._parts: dict[tuple[str, str, str], dict[tuple[object, ...], _Part]] = {}
        self._in_flight: Counter[str] = Counter()
        self._max_in_flight: Counter[str] = Counter()
        self._changed = threading.Condition()

    @property
    def requests(self) -> tuple[Request, ...]:
        """Everything that was asked, in order of arrival."""
        return tuple(self._requests)

    def max_in_flight(self, operation: str) -> int:
        """Return the most requests of an operation ("" for any) that were being answered at one instant."""
        return self._max_in_flight[operation]

    def arrived(self, call: Call, stored: Stored | None, connection_id: int) -> tuple[Request, int]:
        """Return the record of a request whose head has come, and where its part began."""
        size = None if stored is None else stored.size_bytes
        asked = call.requested_range(size)
        address, start = _address(call, stored, asked)
        known = self._parts.setdefault((call.operation, call.bucket, call.key), {})
        index = call.part_number if call.operation in _NUMBERED and call.part_number else len(known) + 1
        part = known.setdefault(address, _Part(index, start))
        part.attempts += 1
        request = Request(
            index=len(self._requests),
            operation=call.operation,
            bucket=call.bucket,
            key=call.key,
            range=None if asked is None or asked[1] is None else (asked[0], asked[1]),
            part_number=call.part_number,
            part=part.index,
            attempt=part.attempts,
            headers=dict(call.http.headers),
            query=dict(call.query),
            upload_id=call.upload_id,
            body_size_bytes=call.http.body_size_bytes,
            connection_id=connection_id,
            arrived_s=time.monotonic(),
        )
        self._requests.append(request)
        for name in ("", call.operation):
            self._in_flight[name] += 1
            self._max_in_flight[name] = max(self._max_in_flight[name], self._in_flight[name])
        self.tell()
        return request, part.start

    def finished(self, request: Request) -> None:
        """Note that nothing more will happen to a request."""
        request.finished_s = time.monotonic()
        for name in ("", request.operation):
            self._in_flight[name] -= 1
        self.tell()

    def tell(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], *, timeout_s: float) -> None:
        """Return when ``condition()`` holds.

        Raises:
            AssertionError: it did not hold within ``timeout_s``.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                if time.monotonic() > deadline_s:
                    raise AssertionError(f"not within {timeout_s} s; requests: {self.requests}")
                self._changed.wait(_POLL_S)


def _address(call: Call, stored: Stored | None, asked: tuple[int, int | None] | None) -> tuple[tuple[object, ...], int]:
    """Return what tells a part from others of its operation and key, and where it begins."""
    if call.operation != "GetObject":
        return (call.part_number, *(call.query.get(name) for name in _MARKERS)), 0
    span = asked or (0, None if stored is None else stored.size_bytes)
    if stored is not None and call.part_number is not None:
        span = stored.part_range(call.part_number) or span
    return (span[1], call.part_number), span[0]
