"""Answers the coordinator's questions through the worker's boto3 client, in a thread; it must not know leases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from bulkhaul.engine.channel import MAX_FRAME_BYTES
from bulkhaul.engine.protocol import Answer, Ask, Head, ListPage, PartChecksums, Resolve
from bulkhaul.model.objects import ObjectHead, PartChecksum
from bulkhaul.wire.sdk.client import SdkClient, resolve_credentials
from bulkhaul.wire.sdk.control import head, list_page, part_checksums
from bulkhaul.wire.values import WireSettings

Item = TypeVar("Item", ObjectHead, PartChecksum)

SLICE_BYTES = MAX_FRAME_BYTES // 2
"""Encoded length of the items of one Answer: leaves room for the rest of the frame."""


def answers(message: Ask, wire: WireSettings, sdk: SdkClient | None, payload_fd: int = -1) -> list[Answer]:
    """Return the frames that answer a question, in order.

    Raises:
        TransferError: what the service or the SDK reported.
    """
    question, ask = message.question, message.ask
    if isinstance(question, Resolve):
        return [Answer(ask, credentials=resolve_credentials(wire, question.generation))]
    assert sdk is not None
    match question:
        case Head():
            info = head(sdk, question.bucket, question.key)
            return [Answer(ask, objects=[info], target=sdk.target(question.bucket, question.key))]
        case ListPage():
            page = list_page(sdk, question.bucket, question.prefix, question.token)
            found = [Answer(ask, last=False, objects=part) for part in _slices(page.entries)]
            return [*found, Answer(ask, next_token=page.next_token, target=sdk.target(question.bucket))]
        case PartChecksums():
            parts = part_checksums(sdk, question.bucket, question.info)
            return [*(Answer(ask, last=False, parts=part) for part in _slices(parts)), Answer(ask)]


def _slices(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut a list so that each piece fits a frame."""
    piece: list[Item] = []
    length = 0
    for item in items:
        size = len(msgspec.msgpack.encode(item))
        if piece and length + size > SLICE_BYTES:
            yield piece
            piece, length = [], 0
        piece.append(item)
        length += size
    if piece:
        yield piece
