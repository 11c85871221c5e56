"""Multipart uploads in progress: who began what, and which parts have landed.

Job: keep uploads by id from begin to completion or abort. Must not know requests or XML.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bulkhaul.testing.faultserver.contents import Content
from bulkhaul.testing.faultserver.replies import S3Error

from .description import Description
from .objects import Algorithm, ChecksumType


@dataclass(frozen=True, slots=True)
class Part:
    """One part that has landed; ``md5`` is what its ETag shows."""

    content: Content
    md5: bytes
    last_modified: datetime
    checksums: Mapping[Algorithm, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """The ETag, without quotes."""
        return self.md5.hex()


@dataclass(slots=True)
class Upload:
    """One upload. ``algorithm`` is None where its creation named none."""

    upload_id: str
    bucket: str
    key: str
    description: Description
    algorithm: Algorithm | None
    checksum_type: ChecksumType | None
    initiated: datetime
    parts: dict[int, Part] = field(default_factory=dict)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)


class Uploads:
    """The uploads of a store; for the server's thread alone, except `pending`."""

    def __init__(self) -> None:
        self._pending: dict[str, Upload] = {}
        self._aborted: dict[str, Upload] = {}
        self._begun = 0

    def begin(
        self,
        bucket: str,
        key: str,
        description: Description = Description(),  # noqa: B008 - frozen, and empty
        *,
        algorithm: Algorithm | None = None,
        checksum_type: ChecksumType | None = None,
        initiated: datetime | None = None,
    ) -> Upload:
        """Return a new upload. Ids sort by age, and hold what must be escaped in a URL or not."""
        self._begun += 1
        tail = hashlib.sha256(b"%d" % self._begun).hexdigest()[:20]
        upload_id = f"{self._begun:06d}._-~{tail}+/="
        began = initiated or datetime.now(UTC)
        upload = Upload(upload_id, bucket, key, description, algorithm, checksum_type, began)
        self._pending[upload_id] = upload
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Return a pending upload.

        Raises:
            S3Error: there is none of this id for this key.
        """
        upload = self._pending.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise S3Error("NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the "
                          "upload may have been aborted or completed.")  # fmt: skip
        return upload

    def pending(self, bucket: str) -> list[Upload]:
        """Return the pending uploads of a bucket by key, and of a key by age."""
        found = [one for one in list(self._pending.values()) if one.bucket == bucket]
        return sorted(found, key=lambda one: (one.key.encode(), one.upload_id))

    def is_pending(self, upload_id: str) -> bool:
        """Tell whether an upload was begun, and neither completed nor aborted."""
        return upload_id in self._pending

    def complete(self, upload: Upload) -> None:
        """Forget an upload that has become an object."""
        del self._pending[upload.upload_id]
        upload.aborted.set()

    def abort(self, upload: Upload) -> None:
        """Drop an upload with its parts, and let those go on that wait for that."""
        del self._pending[upload.upload_id]
        upload.parts.clear()
        self._aborted[upload.upload_id] = upload
        upload.aborted.set()

    async def wait_until_aborted(self, upload_id: str) -> None:
        """Return once the upload was aborted; at once if it is not there."""
        upload = self._pending.get(upload_id)
        if upload is not None:
            await upload.aborted.wait()

    def revive(self, upload_id: str) -> None:
        """Let an aborted upload be pending again: a part of it was in flight."""
        upload = self._aborted.pop(upload_id, None)
        if upload is not None:
            upload.aborted = asyncio.Event()
            self._pending[upload_id] = upload
