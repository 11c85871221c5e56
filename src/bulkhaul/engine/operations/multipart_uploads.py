"""Makes the small requests of multipart uploads: begin, copy a part, list, complete, abort."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from bulkhaul.engine.messages.memory import in_memory
from bulkhaul.engine.messages.requests import CompleteUpload, CopyPart, CreateUpload, ListParts, ListUploads
from bulkhaul.engine.operations.abort_upload import Aborted, abort_until_gone
from bulkhaul.engine.operations.list_pages import each_of, marked_pages
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import CopySource, ObjectOptions, PendingUpload, Stored, UploadBegun, UploadedPart


class MultipartUploads:
    """Makes these requests through the workers. The bytes of parts go by leases, not by requests."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def pending_uploads(self, bucket: str, prefix: str = "") -> AsyncGenerator[list[PendingUpload], None]:
        """Yield the pages of a listing of uploads that were neither completed nor aborted.

        Raises:
            TransferError: the listing failed.
        """
        listing = marked_pages(
            self._requests,
            lambda markers: ListUploads(bucket, prefix, *markers),
            ("", ""),
            lambda page: (page.next_key_marker, page.next_id_marker),
            f"s3://{bucket}/{prefix}",
        )
        return each_of(listing, lambda page: list(page.uploads))

    async def pending_uploads_of(self, ref: ObjectRef) -> list[PendingUpload]:
        """Return the uploads to exactly one key that were neither completed nor aborted.

        Raises:
            TransferError: the listing failed.
        """
        async with contextlib.aclosing(self.pending_uploads(ref.bucket, ref.key)) as pages:
            return [upload async for page in pages for upload in page if upload.key == ref.key]

    async def begin_upload(self, ref: ObjectRef) -> str:
        """Begin a multipart upload that no journal names, and return its id; the caller aborts it.

        Raises:
            TransferError: the service refused.
        """
        return (await self.create_upload(ref, ObjectOptions())).upload_id

    async def create_upload(
        self,
        ref: ObjectRef,
        options: ObjectOptions,
        *,
        algorithm: str = "",
        token: str = "",
        on_doubt: Callable[[], None] | None = None,
    ) -> UploadBegun:
        """Begin a multipart upload.

        Args:
            algorithm: checksum that the service is to keep for the whole object, empty for none.
            token: goes into the object's metadata, empty for none.
            on_doubt: called for each try that has failed and may have begun an upload all the same.

        Raises:
            TransferError: the service refused.
        """
        request = CreateUpload(ref.bucket, ref.key, options, algorithm, token)
        return await self._requests.ask(request, ref.url, on_doubt=on_doubt)

    async def copy_part(
        self, ref: ObjectRef, upload_id: str, number: int, source: CopySource, start: int, end: int
    ) -> UploadedPart:
        """Have the service copy ``[start, end)`` of an object as part ``number`` of an upload; errors name the source.

        Raises:
            TransferError: the service refused.
        """
        request = CopyPart(ref.bucket, ref.key, upload_id, number, source, start, end)
        return await self._requests.ask(request, ObjectRef(source.bucket, source.key).url)

    async def complete_upload(
        self,
        ref: ObjectRef,
        upload_id: str,
        parts: Sequence[UploadedPart],
        *,
        size_bytes: int,
        algorithm: str,
        checksum: str,
    ) -> Stored:
        """Make an object of its parts.

        Args:
            algorithm: of the parts' checksums, empty if they have none.
            checksum: of the whole object, empty if it is not known.

        Raises:
            TransferError: the service refused, or did not answer: then the object may exist all the same.
        """
        request = CompleteUpload(ref.bucket, ref.key, upload_id, size_bytes, algorithm, checksum)
        with in_memory(msgspec.msgpack.encode(parts)) as fd:
            return await self._requests.ask(request, ref.url, memory_fd=fd)

    async def parts(self, ref: ObjectRef, upload_id: str) -> list[UploadedPart]:
        """Return the parts that the service holds of an upload.

        Raises:
            NotFound: there is no such upload any more.
            TransferError: it could not be asked.
        """
        listing = marked_pages(
            self._requests,
            lambda marker: ListParts(ref.bucket, ref.key, upload_id, marker),
            0,
            lambda page: page.next_marker,
            ref.url,
        )
        async with contextlib.aclosing(listing) as pages:
            return [part async for page in pages for part in page.parts]

    async def abort_until_gone(self, ref: ObjectRef, upload_id: str, *, looks: int, listable: bool) -> Aborted:
        """Abort an upload until nothing of it is left; see ``abort_upload.abort_until_gone``."""
        return await abort_until_gone(self._requests, ref, upload_id, looks=looks, listable=listable)

    async def abort_upload(self, ref: ObjectRef, upload_id: str, *, listable: bool = True) -> bool:
        """Abort a pending upload, and return whether nothing of it is left.

        Args:
            listable: False where parts may not be listed: then the abort that the service confirms has to do.

        Raises:
            TransferError: the service refused.
        """
        aborted = await abort_until_gone(self._requests, ref, upload_id, listable=listable)
        if aborted.unseen is not None:
            raise aborted.unseen
        return aborted.gone
