"""Writes the journal of one multipart upload: what a later run needs to resume or abort it.

    create ─▶ begun ─▶ part* ─▶ completing ─▶ finish: the file is gone
       └────────┴────────┴──────────┴──▶ close, or a crash: ``disk.pending`` finds it

Each upload has one file, which is locked for as long as it is open. The upload's id is on the disk before the first
part is sent. Records of parts are not flushed: if one is lost, its part is sent again.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets

from bulkhaul.disk.frames import write_at
from bulkhaul.disk.locks import create_locked, remove_owned
from bulkhaul.disk.records import Begun, Completing, Ended, Intent, PartSent, Record, frame
from bulkhaul.disk.state import flush_folder, state_error
from bulkhaul.model.errors import LocalError

JOURNAL_NAME = re.compile(r"[0-9a-f]{32}(-[0-9a-f]{16})?\.journal")
"""What our journals are called; the first 32 digits stand for endpoint, bucket and key."""

_MODE = 0o600


def journal_name(endpoint: str, bucket: str, key: str, *, unique: bool = False) -> str:
    """Return the file name under which a later upload to the same key looks, or a fresh one of the same kind."""
    # Neither an endpoint nor a bucket can hold a NUL, so no two objects share this text.
    digest = hashlib.blake2b(f"{endpoint}\0{bucket}\0{key}".encode(), digest_size=16).hexdigest()
    return f"{digest}-{secrets.token_hex(8)}.journal" if unique else f"{digest}.journal"


class Journal:
    """An open journal, locked by this process until it is closed.

    Attributes:
        path: of its file.
    """

    def __init__(self, fd: int, path: str, length_bytes: int) -> None:
        self.path = path
        self._fd = fd
        self._length_bytes = length_bytes

    @classmethod
    def create(cls, folder: str, intent: Intent, *, resumable: bool) -> Journal:
        """Write down that an upload is about to be created.

        Args:
            folder: from ``state_folder``.
            resumable: use the name under which a later upload to the same key looks, unless it is taken.

        Raises:
            LocalError: the folder refuses, or its file system has no locks.
        """
        unique = not resumable
        while True:
            name = journal_name(intent.endpoint, intent.bucket, intent.key, unique=unique)
            path = os.path.join(folder, name)
            try:
                fd = create_locked(path, _MODE)
            except OSError as error:
                raise state_error(error, path) from error
            if fd is not None:
                break
            unique = True
        journal = cls(fd, path, 0)
        try:
            journal._append(intent)
        except LocalError:
            journal.close()  # a journal without a whole Intent means nothing: cleanup removes it
            raise
        return journal

    def begun(self, upload_id: str, algorithm: str) -> None:
        """Write down the upload's id; when this returns, it survives a power failure.

        Raises:
            LocalError: it may be lost; the upload must be aborted before any part is sent.
        """
        self._append(Begun(upload_id, algorithm))
        self._flush()
        try:
            flush_folder(os.path.dirname(self.path))
        except OSError as error:
            raise state_error(error, self.path) from error

    def part(self, number: int, etag: str, crc: int, size_bytes: int, source_crc: int | None = None) -> None:
        """Write down a part that the service has acknowledged.

        Raises:
            LocalError: the disk refuses; what was written before stays readable.
        """
        self._append(PartSent(number, etag, crc, size_bytes, source_crc))

    def completing(self) -> None:
        """Write down, for good, that the object may exist from now on.

        Raises:
            LocalError: the disk refuses; Complete must not be sent.
        """
        self._append(Completing())
        self._flush()

    def finish(self) -> None:
        """Remove the journal of an upload that was completed or aborted, and let go of it.

        Raises:
            LocalError: it could not be removed. The upload is over all the same, so this is worth a warning only.
        """
        try:
            remove_owned(self._fd, self.path)
        except OSError as error:
            self._append(Ended())
            raise state_error(error, self.path) from error
        finally:
            self.close()

    def set_aside(self) -> None:
        """Take a name under which no later upload looks: this one cannot be resumed, only reported.

        Raises:
            LocalError: the folder refuses.
        """
        folder, name = os.path.split(self.path)
        aside = os.path.join(folder, f"{name[:32]}-{secrets.token_hex(8)}.journal")
        try:
            os.rename(self.path, aside)
        except OSError as error:
            raise state_error(error, self.path) from error
        self.path = aside

    def close(self) -> None:
        """Let go of the journal; its file stays for a later run. Safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _append(self, record: Record) -> None:
        data = frame(record)
        try:
            write_at(self._fd, data, self._length_bytes)
        except OSError as error:
            raise state_error(error, self.path) from error
        self._length_bytes += len(data)

    def _flush(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise state_error(error, self.path) from error
