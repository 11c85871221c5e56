"""Cuts a worker's reports and answers into messages that fit a frame.

A service decides how long a listing or the text of an error is. A worker that sent too long a message would die, and so
would the next worker with the same object. So long lists take several messages, long texts of errors are cut, and a
report that is too long by itself becomes an error of its object.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES, encoded
from bulkhaul.engine.messages.messages import BatchEnded, Done, Failed, Landed, Report, RowFailed, Sent
from bulkhaul.engine.messages.requests import Answer
from bulkhaul.engine.worker.transports import MAX_TEXT
from bulkhaul.model.errors import ErrorInfo, OtherError
from bulkhaul.wire.values import Target

MAX_REPORTED = 256
"""Most ended leases of one Report; fewer where their texts are long."""

MAX_REACHED = 2048
"""Most active leases of one Report: each takes up to 18 bytes, and a batch as many again."""

PIECE_BYTES = MAX_FRAME_BYTES - 4096
"""Longest piece of an answer: leaves room for what a frame holds besides."""

Send = Callable[[object], None]


def tell_ended(send: Send, done: list[Done], failed: list[Failed], *, heads: int = 0, ttfb_sum_s: float = 0.0) -> None:
    """Report ended leases in as few frames as hold them, and replies that have begun in the first of those."""
    report = Report(heads=heads, ttfb_sum_s=ttfb_sum_s)
    ended: list[Done | Failed] = [*done, *failed]
    if heads and not ended:
        send(report)
    for at in range(0, len(ended), MAX_REPORTED):
        _tell(send, ended[at : at + MAX_REPORTED], report if at == 0 else _NOTHING)


def tell_batch(send: Send, ended: BatchEnded) -> None:
    """Report a batch in as few frames as hold it; the last one lets go of it."""
    try:
        send(ended)
    except OtherError as error:
        rows: list[Landed | Sent | RowFailed] = [*ended.landed, *ended.sent, *ended.failed]
        if len(rows) > 1:
            half = len(rows) // 2
            tell_batch(send, _batch_of(ended.lease, rows[:half], None, more=True))
            tell_batch(send, _batch_of(ended.lease, rows[half:], ended.error, more=ended.more))
            return
        failed = [
            RowFailed(one.row, cut(one.error if isinstance(one, RowFailed) else _too_long(error))) for one in rows
        ]
        cause = None if ended.error is None else cut(ended.error)
        send(BatchEnded(ended.lease, failed=failed, error=cause, more=ended.more))


def tell_reached(send: Send, beat: Report) -> None:
    """Report how far active leases are, and how busy the worker was; also the sign of life."""
    most = MAX_REACHED
    send(msgspec.structs.replace(beat, reached=beat.reached[:most], through=beat.through[:most]))
    for at in range(most, max(len(beat.reached), len(beat.through)), most):
        send(Report(reached=beat.reached[at : at + most], through=beat.through[at : at + most]))


def tell_answer(send: Send, ask: int, value: object, target: Target | None) -> None:
    """Send an answer in as few frames as hold it; send an error instead if it cannot be encoded."""
    try:
        data = encoded(value)
        for at in range(0, len(data) - PIECE_BYTES, PIECE_BYTES):
            send(Answer(ask, last=False, piece=data[at : at + PIECE_BYTES]))
        send(Answer(ask, piece=data[(len(data) - 1) // PIECE_BYTES * PIECE_BYTES :], target=target))
    except OtherError as error:
        send(Answer(ask, error=cut(_too_long(error))))


def tell_error(send: Send, ask: int, error: ErrorInfo) -> None:
    """Answer a request with an error; cut its texts if they do not fit a frame."""
    try:
        send(Answer(ask, error=error))
    except OtherError:
        send(Answer(ask, error=cut(error)))


def cut(info: ErrorInfo) -> ErrorInfo:
    """Return the error with its texts cut, and with ``?`` for what cannot be encoded."""
    texts = {
        name: value[:MAX_TEXT].encode("utf-8", "replace").decode()
        for name, value in msgspec.structs.asdict(info).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(info, **texts)


def _batch_of(lease: int, rows: list[Landed | Sent | RowFailed], error: ErrorInfo | None, *, more: bool) -> BatchEnded:
    landed = [row for row in rows if isinstance(row, Landed)]
    sent = [row for row in rows if isinstance(row, Sent)]
    failed = [row for row in rows if isinstance(row, RowFailed)]
    return BatchEnded(lease, landed, sent, failed, error, more)


_NOTHING = Report()


def _tell(send: Send, ended: list[Done | Failed], report: Report) -> None:
    done = [one for one in ended if isinstance(one, Done)]
    failed = [one for one in ended if isinstance(one, Failed)]
    try:
        send(msgspec.structs.replace(report, done=done, failed=failed))
    except OtherError as error:
        if len(ended) > 1:
            _tell(send, ended[: len(ended) // 2], report)
            _tell(send, ended[len(ended) // 2 :], _NOTHING)
            return
        (one,) = ended
        info = one.error if isinstance(one, Failed) else _too_long(error)
        received_bytes, crc = (one.received_bytes, one.crc) if isinstance(one, Failed) else (0, 0)
        send(msgspec.structs.replace(report, failed=[Failed(one.lease, received_bytes, crc, cut(info))]))


def _too_long(error: OtherError) -> ErrorInfo:
    text = "the service's reply holds texts that are too long, or no text"
    return ErrorInfo("OtherError", text, cause=str(error))
