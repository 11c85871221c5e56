"""Faults of the service: an error in place of a reply."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

from bulkhaul.testing.faultserver.faults import Exchange, Fault
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import ERROR_STATUS, error_reply


@dataclass(frozen=True, kw_only=True)
class Status(Fault):
    """Answers with an S3 error, e.g. ``Status(code="SlowDown", headers={"Retry-After": "1"})``.

    ``status`` is 0 for the usual one of the code. With ``applied`` the operation has taken effect, and
    the error replaces its reply.
    """

    code: str
    status: int = 0
    message: str = "injected by the fault server"
    headers: Mapping[str, str] = field(default_factory=dict)
    applied: bool = False
    date_ahead_s: float = 0.0

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the error document, instead of the operation."""
        return None if self.applied else self._answer(exchange)

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Answer with the error document, after a success of the operation."""
        return self._answer(exchange) if self.applied and reply.status < 300 else None

    def _answer(self, exchange: Exchange) -> Reply:
        status = self.status or ERROR_STATUS[self.code]
        headers = dict(self.headers)
        if self.date_ahead_s:
            headers["Date"] = formatdate(time.time() + self.date_ahead_s, usegmt=True)
        return error_reply(status, self.code, self.message, exchange.request.key, headers)


@dataclass(frozen=True, kw_only=True)
class ErrorXmlWith200(Fault):
    """Answers 200 with an S3 error document as the body; with ``applied`` after the effect."""

    code: str = "InternalError"
    applied: bool = False

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the document, instead of the operation."""
        return None if self.applied else self._answer(exchange)

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Answer with the document, after a success of the operation."""
        return self._answer(exchange) if self.applied and reply.status < 300 else None

    def _answer(self, exchange: Exchange) -> Reply:
        return error_reply(200, self.code, "injected by the fault server", exchange.request.key, {})
