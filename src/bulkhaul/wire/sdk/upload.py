"""Puts made-up objects into an empty bucket, quickly: what the demo restores. It is no upload engine.

A large object goes up by multipart with a CRC64NVME of the whole object, so that restoring it can prove every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import msgspec

from bulkhaul.model.errors import TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Timeouts
from bulkhaul.wire.checksums import encoded_crc, fold, updater
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.control import call
from bulkhaul.wire.values import Credentials, WireSettings

PART_SIZE_BYTES = 8 * MIB
"""Length of one request. Source: S3 User Guide, multipart limits (5 MiB at least)."""

ALGORITHM = "CRC64NVME"


class Payload(msgspec.Struct, frozen=True):
    """An object to upload; ``read(start, end)`` returns its bytes ``[start, end)``, from any thread."""

    key: str
    size_bytes: int
    read: Callable[[int, int], bytes]


class Uploader:
    """A client of one endpoint, with threads of its own."""

    def __init__(self, endpoint_url: str, credentials: Credentials, *, region: str, threads: int) -> None:
        """Set up the client.

        Raises:
            UsageError: the endpoint cannot be used.
        """
        sdk = SdkClient(
            WireSettings(
                endpoint_url=endpoint_url,
                region=region,
                profile=None,
                sign_requests=True,
                verify_tls=True,
                ca_bundle=None,
                allow_http=False,
                addressing_style="path",
                transport="sdk",
                timeouts=Timeouts(),
                connections=threads,
            )
        )
        sdk.use(credentials)
        self._client = sdk.client
        self._threads = threads
        self._update = updater(ALGORITHM)

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket if there is none yet, and see that objects can be put into it.

        Raises:
            TransferError: the service is not ready, or refuses.
        """
        try:
            call(self._client.create_bucket, subject=f"s3://{bucket}", Bucket=bucket)
        except TransferError as error:
            if error.info.service_code not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                raise
        call(self._client.put_object, subject=f"s3://{bucket}/probe", Bucket=bucket, Key="probe", Body=b"1")
        call(self._client.delete_object, subject=f"s3://{bucket}/probe", Bucket=bucket, Key="probe")

    def upload(self, bucket: str, payloads: Sequence[Payload]) -> Iterator[int]:
        """Upload everything and yield the bytes of each request that is done. Closing the iterator stops it.

        Raises:
            TransferError: a request failed; what was uploaded stays.
        """
        large = [payload for payload in payloads if payload.size_bytes > PART_SIZE_BYTES]
        small = [payload for payload in payloads if payload.size_bytes <= PART_SIZE_BYTES]
        with ThreadPoolExecutor(self._threads, thread_name_prefix="upload") as pool:
            try:
                for payload in large:
                    yield from self._in_parts(pool, bucket, payload)
                yield from _results([pool.submit(self._whole, bucket, payload) for payload in small])
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _whole(self, bucket: str, payload: Payload) -> int:
        body = payload.read(0, payload.size_bytes)
        call(
            self._client.put_object,
            subject=f"s3://{bucket}/{payload.key}",
            Bucket=bucket,
            Key=payload.key,
            Body=body,
            ChecksumCRC64NVME=encoded_crc(ALGORITHM, self._update(body, 0)),
        )
        return payload.size_bytes

    def _in_parts(self, pool: ThreadPoolExecutor, bucket: str, payload: Payload) -> Iterator[int]:
        name = {"Bucket": bucket, "Key": payload.key}
        subject = f"s3://{bucket}/{payload.key}"
        begun: dict[str, Any] = call(
            self._client.create_multipart_upload,
            subject=subject,
            ChecksumAlgorithm=ALGORITHM,
            ChecksumType="FULL_OBJECT",
            **name,
        )
        parts: dict[int, tuple[int, int]] = {}  # number → (crc, length)
        etags: dict[int, str] = {}

        def send(number: int, start: int) -> int:
            body = payload.read(start, min(start + PART_SIZE_BYTES, payload.size_bytes))
            crc = self._update(body, 0)
            reply: dict[str, Any] = call(
                self._client.upload_part,
                subject=subject,
                UploadId=begun["UploadId"],
                PartNumber=number,
                Body=body,
                ChecksumCRC64NVME=encoded_crc(ALGORITHM, crc),
                **name,
            )
            parts[number], etags[number] = (crc, len(body)), reply["ETag"]
            return len(body)

        starts = range(0, payload.size_bytes, PART_SIZE_BYTES)
        yield from _results([pool.submit(send, number, start) for number, start in enumerate(starts, 1)])
        numbers = sorted(parts)
        call(
            self._client.complete_multipart_upload,
            subject=subject,
            UploadId=begun["UploadId"],
            ChecksumType="FULL_OBJECT",
            ChecksumCRC64NVME=encoded_crc(ALGORITHM, fold(ALGORITHM, (parts[number] for number in numbers))),
            MultipartUpload={
                "Parts": [
                    {
                        "PartNumber": number,
                        "ETag": etags[number],
                        "ChecksumCRC64NVME": encoded_crc(ALGORITHM, parts[number][0]),
                    }
                    for number in numbers
                ]
            },
            **name,
        )


def _results(futures: list[Future[int]]) -> Iterator[int]:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()
