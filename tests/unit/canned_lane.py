"""The lane, with a fast transport whose requests end before a socket, as ``canned`` does for the SDK."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from bulkhaul.model.settings import Settings
from bulkhaul.wire.fast_transport import FastTransport
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.values import Credentials, Target
from tests.unit.canned import KEYS, Sent
from tests.unit.test_sdk_client import settings

T = TypeVar("T")

TARGET = Target("http", "127.0.0.1", 9, "/bucket/", "us-east-1", fast=True)
"""Where the SDK sends requests for ``bucket`` by the settings of the tests."""


class LaneClient:
    """A lane in the place of an ``SdkClient``.

    Attributes:
        lane: the client.
        learned: what endpoints do not take.
        run: ends a request.
        client: the SDK's own, for what a test needs besides; None in canned tests.
    """

    def __init__(
        self, lane: Lane, target: Target, run: Callable[[Coroutine[Any, Any, Any]], Any], client: Any = None
    ) -> None:
        self.lane = lane
        self.learned = lane.learned
        self.run = run
        self.client = client
        self._target = target

    def at(self, bucket: str) -> Target:
        """Return where requests for a bucket go, or for none."""
        return msgspec.structs.replace(self._target, path_prefix=f"/{bucket}/" if bucket else "/")

    def does_without(self, what: str) -> None:
        """Remember that a request failed with the feature and worked without it."""
        self.learned.does_without(self._target.host, what)


class _Canned(FastTransport):
    def __init__(self, changed: Settings, learned: Learned, answer: Callable[[Sent], tuple[ReplyHead, bytes]]) -> None:
        super().__init__(changed, ca_bundle=None, user_agent="test", learned=learned)
        self._answer = answer

    async def ask(
        self,
        target: Target,
        method: str,
        path: str,
        query: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        **_: object,
    ) -> tuple[ReplyHead, bytes]:
        """Answer instead of the service; the request is encoded as the real one would be."""
        self._encode(method, target, path, query, list(headers), "0" * 64)
        names = {name: value[0] for name, value in parse_qs(query, keep_blank_values=True).items()}
        return self._answer(Sent(method, path, names, dict(headers), body))


class CannedLane:
    """A lane and its canned replies; see ``Canned``."""

    def __init__(
        self,
        *replies: tuple[int, str],
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = KEYS,
        **changes: object,
    ) -> None:
        changed, learned = settings(**changes), Learned()
        fast = _Canned(changed, learned, self._answer)
        lane = Lane(changed, fast, learned)
        for one in (fast, lane):
            one.use(credentials if changed.sign_requests else None)
        self.sdk = LaneClient(lane, TARGET, finished)
        self.sent: list[Sent] = []
        self.replies = list(replies) or [(200, "")]
        self.headers = dict(headers or {})

    def _answer(self, sent: Sent) -> tuple[ReplyHead, bytes]:
        self.sent.append(sent)
        status, body = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        return ReplyHead(status, headers, True), b"" if sent.method == "HEAD" else body.encode()


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never waits."""
    with contextlib.closing(work):
        try:
            work.send(None)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return] # a coroutine's
    raise AssertionError("it waits")
