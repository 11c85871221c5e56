"""Keeps the temp file of one download and its journal together, from the first byte to the publication or the failure.

    begin ─▶ allocated ─▶ on_part* ─▶ verified ─▶ (publication) ─▶ published
      └───────────┴────────────┴──────────┴──▶ end of the block: both are kept for the next run, or both are removed

Where no journal can be had, or none is worth it, the temp file alone is kept here, and removed on a failure.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from bulkhaul.disk.boot import boot_id
from bulkhaul.disk.download_journal import DownloadJournal, keeps_inodes
from bulkhaul.disk.download_records import VERSION, Plan, Wanted
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.transfers.barrier import Barrier
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.model.errors import LocalError, TransferError, error_of
from bulkhaul.policy.layout import Layout
from bulkhaul.policy.sizes import format_size

KEEPS = frozenset(
    {
        *("Cancelled", "NetworkError", "StallTimeout", "Throttled", "ServerError", "WorkerDied"),
        *("CredentialsError", "ExpiredCredentials", "AccessDenied", "ClockSkew"),
    }
)
"""Failures that say nothing against the parts that have arrived; after any other one the download begins anew."""

_log = logging.getLogger("bulkhaul")


class DownloadRecord:
    """One attempt at a download: a block around it, at whose end its files are published, kept or removed.

    Attributes:
        landing: the temp file, None until there is one.
        kept: (index, checksum) of the parts that an earlier run has left.
        kept_bytes: of those.
        left: whether a failure left what the next run goes on with.
    """

    def __init__(self, destination: Destination, layout: Layout, wanted: Wanted | None) -> None:
        """Take what is to be downloaded.

        Args:
            wanted: what a later run has to want to go on with it; None if none is to.
        """
        self.landing: Landing | None = None
        self.kept: tuple[tuple[int, int], ...] = ()
        self.kept_bytes = 0
        self.left = False
        self._destination = destination
        self._layout = layout
        self._wanted = wanted
        self._journal: DownloadJournal | None = None
        self._barrier: Barrier | None = None
        self._moved_bytes = 0
        self._goes_on = False

    @property
    def algorithm(self) -> str:
        """The checksum that the parts must have, empty if any will do."""
        return self._wanted.algorithm if self._wanted is not None else ""

    def go_on(self, landing: Landing, journal: DownloadJournal, rebooted: str) -> None:
        """Take over the files of an earlier run.

        Args:
            rebooted: the boot of the machine, if it is another one than that of the earlier run.
        """
        self.landing, self._journal, self._goes_on = landing, journal, True
        try:
            if rebooted:
                journal.rebooted(rebooted)
        except OSError as error:
            self._give_up(error)

    def keep(self, kept: dict[int, int]) -> None:
        """Count parts of an earlier run, index ─▶ checksum, whose bytes are as they came."""
        self.kept = tuple(sorted(kept.items()))
        self.kept_bytes = self._moved_bytes = sum(self._layout[index].size_bytes for index in kept)

    def begin(self, landing: Landing) -> None:
        """Write down that a temp file was made; called in a thread."""
        if self._wanted is None or not keeps_inodes(landing.fd):
            return
        found = os.fstat(landing.fd)
        plan = Plan(
            version=VERSION,
            temp=landing.temp,
            destination=self._destination.name,
            device=found.st_dev,
            inode=found.st_ino,
            boot=boot_id(),
            began_s=time.time(),
            wanted=self._wanted,
        )
        try:
            self._journal = DownloadJournal.create(self._destination.folder.fd, plan)
        except (OSError, LocalError, UnicodeEncodeError) as error:  # a name that is no text cannot be written down
            _log.info("%s: a killed download of it will begin anew: no journal: %s", self._destination.path, error)

    def allocated(self, landing: Landing) -> None:
        """Take the temp file, which has its length; write that down, and begin to flush it now and then."""
        self.landing = landing
        if self._journal is None:
            return
        try:
            if not self._goes_on:
                self._journal.allocated(mapped=landing.mapped)
        except OSError as error:
            self._give_up(error)
            return
        self._barrier = Barrier(landing.fd, self._destination.folder.fd, self._journal)

    @property
    def on_part(self) -> Callable[[int, int], None] | None:
        """What is to be called with each part that is in the file, by index and checksum; None where nobody asks."""
        return self._arrived if self._journal is not None else None

    def _arrived(self, index: int, crc: int) -> None:
        """Write down a part that is in the file."""
        if self._journal is None:
            return
        part = self._layout[index]
        self._moved_bytes += part.size_bytes
        try:
            self._journal.part(part.number, crc, part.size_bytes)
            if self._barrier is not None:
                self._barrier.look()
        except OSError as error:
            self._give_up(error)

    def verified(self) -> None:
        """Write down that the whole was checked.

        Raises:
            LocalError: the disk had refused to flush a part of it: its bytes may be lost later.
        """
        if self._barrier is not None and self._barrier.failure is not None:
            raise local_error(self._barrier.failure, self._destination.path) from self._barrier.failure
        try:
            if self._journal is not None:
                self._journal.verified()
        except OSError as error:
            self._give_up(error)

    def published(self) -> None:
        """Remove the journal: the destination has the object."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.published()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self._journal is None or not self._keeps(error):
            if self.landing is not None:
                self.landing.discard()
            if self._journal is not None:
                self._journal.remove()
            return
        self.left = True
        self._let_go()
        if isinstance(error, TransferError):
            info = msgspec.structs.replace(error.info, message=f"{error.info.message}; {self._how_to_go_on()}")
            raise error_of(info) from error.__cause__

    def _how_to_go_on(self) -> str:
        there = format_size(min(self._moved_bytes, self._layout.size_bytes))
        folder = shlex.quote(os.path.dirname(self._destination.path) or ".")
        clear = f"`bulkhaul cleanup --temp-files {folder}`"
        whole = format_size(self._layout.size_bytes)
        return f"{there} of {whole} are kept: run the same again to go on, or {clear} removes them"

    def _keeps(self, error: BaseException) -> bool:
        useful = isinstance(error, asyncio.CancelledError) or (
            isinstance(error, TransferError) and error.info.code in KEEPS
        )
        sound = self._barrier is None or self._barrier.failure is None
        return useful and sound and self.landing is not None and self._moved_bytes > 0

    def _let_go(self) -> None:
        if self.landing is not None:
            self.landing.keep()
        if self._journal is not None:
            self._journal.close()

    def _give_up(self, error: OSError) -> None:
        """Go on without a journal: it could not be written."""
        _log.info("%s: a killed download of it will begin anew: its journal: %s", self._destination.path, error)
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.remove()
