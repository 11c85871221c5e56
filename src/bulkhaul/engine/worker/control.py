"""Answers the coordinator's questions through the worker's boto3 client, in a thread; it must not know leases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from bulkhaul.engine.messages.channel import MAX_FRAME_BYTES
from bulkhaul.engine.messages.memory import read_all
from bulkhaul.engine.messages.messages import (
    FIRST_GENERATION,
    AbortUpload,
    Answer,
    Ask,
    BucketRegion,
    CompleteUpload,
    CopyObject,
    CopyPart,
    CreateUpload,
    Delete,
    DeleteMany,
    Head,
    ListBuckets,
    ListPage,
    ListParts,
    ListUploads,
    ListVersions,
    Locate,
    PartChecksums,
    Presign,
    PutSmall,
    Question,
    Resolve,
    Tags,
)
from bulkhaul.model.writing import Doomed, Stored, UploadedPart
from bulkhaul.wire.sdk import attributes, control, multipart, objects, pages
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.credentials import resolve_credentials
from bulkhaul.wire.sdk.locate import locate
from bulkhaul.wire.values import WireSettings

Item = TypeVar("Item")

SLICE_BYTES = MAX_FRAME_BYTES // 2
"""Encoded length of the items of one Answer: leaves room for the rest of the frame."""


def answers(
    message: Ask, wire: WireSettings, sdk: SdkClient | None, payload_fd: int, tell: Callable[[Answer], None]
) -> list[Answer]:
    """Return the frames that answer a question, in order.

    Args:
        payload_fd: memory that came along with the question, -1 for none.
        tell: sends a frame that goes before them, now.

    Raises:
        TransferError: what the service or the SDK reported.
    """
    question, ask = message.question, message.ask
    assert sdk is not None
    if isinstance(question, Resolve):
        # The first time, what the session has read before the fork is news; for a renewal everything is read again.
        prepared = sdk.session if question.generation == FIRST_GENERATION else None
        return [Answer(ask, credentials=resolve_credentials(wire, question.generation, prepared))]
    if isinstance(question, DeleteMany):
        doomed = _payload(payload_fd, list[Doomed])
        return _sliced(ask, not_deleted=objects.delete_objects(sdk, question.bucket, doomed))
    if (listed := _listing(ask, question, sdk, tell)) is not None:
        return listed
    return [_answer(ask, question, sdk, payload_fd)]


def _listing(ask: int, question: Question, sdk: SdkClient, tell: Callable[[Answer], None]) -> list[Answer] | None:
    """Answer a question whose answer may be long; None if this is another one."""
    match question:
        case ListPage():
            return _page(ask, question, sdk, tell)
        case ListBuckets(token):
            owned = objects.list_buckets(sdk, token)
            return _sliced(ask, (owned.next_token,) if owned.next_token else (), buckets=owned.buckets)
        case PartChecksums():
            told = attributes.part_checksums(sdk, question.bucket, question.info, question.version_id)
            return _sliced(ask, parts=told)
        case ListParts(bucket, key, upload_id, marker):
            parts = multipart.list_parts(sdk, bucket, key, upload_id, marker)
            markers = (str(parts.next_marker),) if parts.next_marker else ()
            return _sliced(ask, markers, uploaded=parts.parts)
        case ListUploads(bucket, prefix, key_marker, id_marker):
            pending = multipart.list_uploads(sdk, bucket, prefix, key_marker, id_marker)
            more = pending.next_key_marker or pending.next_id_marker
            return _sliced(
                ask, (pending.next_key_marker, pending.next_id_marker) if more else (), uploads=pending.uploads
            )
        case ListVersions(bucket, prefix, key_marker, version_marker):
            found = objects.list_versions(sdk, bucket, prefix, key_marker, version_marker)
            more = found.next_key_marker or found.next_version_marker
            return _sliced(
                ask, (found.next_key_marker, found.next_version_marker) if more else (), versions=found.versions
            )
    return None


def _page(ask: int, question: ListPage, sdk: SdkClient, tell: Callable[[Answer], None]) -> list[Answer]:
    def tell_next(token: str) -> None:
        tell(Answer(ask, last=False, markers=(token,)))

    bucket, prefix, token = question.bucket, question.prefix, question.token
    found: list[Answer]
    if question.folder:
        folder = pages.list_folder(sdk, bucket, prefix, token)
        next_token = folder.next_token
        found = [*_pieces(ask, objects=folder.entries), *_pieces(ask, prefixes=folder.prefixes)]
    else:
        page = pages.list_page(sdk, bucket, prefix, token, question.max_keys or None, tell_next)
        next_token = page.next_token
        found = list(_pieces(ask, objects=page.entries))
    markers = (next_token,) if next_token else ()
    return [*found, Answer(ask, markers=markers, target=sdk.target(bucket))]


def _answer(ask: int, question: Question, sdk: SdkClient, payload_fd: int) -> Answer:
    match question:
        case Locate(bucket):
            return Answer(ask, target=locate(sdk, bucket))
        case Head(bucket, key, version_id):
            found = control.head(sdk, bucket, key, version_id=version_id)
            return Answer(ask, objects=[found], target=sdk.target(bucket, key))
        case PutSmall():
            return Answer(ask, stored=_put_small(question, sdk))
        case CreateUpload(bucket, key, options, algorithm, token):
            begun = multipart.create_upload(sdk, bucket, key, options, algorithm=algorithm, token=token)
            return Answer(ask, begun=begun)
        case CompleteUpload(bucket, key, upload_id, size_bytes, algorithm, checksum):
            parts = _payload(payload_fd, list[UploadedPart])
            stored = multipart.complete_upload(
                sdk, bucket, key, upload_id, parts, size_bytes=size_bytes, algorithm=algorithm, checksum=checksum
            )
            return Answer(ask, stored=stored)
        case AbortUpload(bucket, key, upload_id):
            multipart.abort_upload(sdk, bucket, key, upload_id)
        case CopyPart(bucket, key, upload_id, number, source, start, end):
            copied = multipart.copy_part(
                sdk,
                bucket,
                key,
                upload_id,
                number,
                source_bucket=source.bucket,
                source_key=source.key,
                source_version=source.version_id,
                source_etag=source.etag,
                start=start,
                end=end,
            )
            return Answer(ask, copied=copied)
        case CopyObject(bucket, key, source, new_options, storage_class):
            stored = objects.copy_object(
                sdk,
                bucket,
                key,
                source_bucket=source.bucket,
                source_key=source.key,
                source_version=source.version_id,
                source_etag=source.etag,
                options=new_options,
                storage_class=storage_class,
            )
            return Answer(ask, stored=stored)
        case Delete(bucket, key, version_id, etag):
            objects.delete_object(sdk, bucket, key, version_id, etag)
        case Tags(bucket, key, version_id):
            return Answer(ask, tags=objects.object_tags(sdk, bucket, key, version_id))
        case Presign(bucket, key, ttl_s, version_id):
            return Answer(ask, text=objects.presign_get(sdk, bucket, key, version_id, ttl_s))
        case BucketRegion(bucket):
            return Answer(ask, text=objects.bucket_region(sdk, bucket))
        case _:
            raise AssertionError(f"{type(question).__name__} is answered elsewhere")
    return Answer(ask)


def _put_small(question: PutSmall, sdk: SdkClient) -> Stored:
    return objects.put_small(
        sdk,
        question.bucket,
        question.key,
        question.body,
        algorithm=question.algorithm,
        checksum=question.checksum,
        only_if_absent=question.only_if_absent,
    )


def _payload(fd: int, kind: type[Item]) -> Item:
    return msgspec.msgpack.decode(read_all(fd), type=kind)


def _sliced(ask: int, markers: tuple[str, ...] = (), **items: Iterable[Any]) -> list[Answer]:
    return [*_pieces(ask, **items), Answer(ask, markers=markers)]


def _pieces(ask: int, **items: Iterable[Any]) -> Iterator[Answer]:
    """Return frames that hold all items of each list, and none that ends the answer."""
    for name, every in items.items():
        for piece in _slices(every):
            yield msgspec.structs.replace(Answer(ask, last=False), **{name: piece})


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
