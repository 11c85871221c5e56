"""A boto3 client whose requests end before a socket: a test says the reply, and reads what would have been sent.

Everything of the SDK before and behind the socket is real: serialising, signing, parsing, its treatment of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from botocore.awsrequest import AWSResponse

from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.values import Credentials
from tests.unit.test_sdk_client import settings

KEYS = Credentials("AKIDEXAMPLE", "secret-canary", "token-canary")


class Sent(msgspec.Struct, frozen=True):
    """One request; names of headers in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Canned:
    """A client and its canned replies.

    Attributes:
        sent: the requests, in order.
        replies: (status, body) of the next ones; the last of them is given again and again.
    """

    def __init__(
        self,
        *replies: tuple[int, str],
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = KEYS,
        **changes: object,
    ) -> None:
        self.sdk = SdkClient(settings(**changes))
        self.sdk.use(credentials)
        self.sent: list[Sent] = []
        self.replies = list(replies) or [(200, "")]
        self.headers = dict(headers or {})
        self.sdk.register("before-send.s3", self._answer)

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        parts = urlsplit(request.url)
        query = {name: value[0] for name, value in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {
            name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        self.sent.append(Sent(request.method, parts.path, query, headers, request.body or b""))
        status, body = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply = AWSResponse(request.url, status, dict(self.headers), None)
        reply._content = body.encode()
        return reply


Operation = Callable[[SdkClient], object]
"""Any function of the wire that takes a client."""
