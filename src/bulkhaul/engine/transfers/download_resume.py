"""Takes up the download of an object that an earlier run has left, and keeps those of its parts that are in the file.

another object, other parts, another temp file, a damaged journal   ─▶ removed; the download begins anew
a part whose bytes have the checksum that they came with            ─▶ kept; the others are fetched again
after a reboot of the machine                                       ─▶ only what was flushed before is looked at
another run holds the journal                                       ─▶ it stays; this run has a temp file of its own
"""

from __future__ import annotations

import hashlib
import logging

import msgspec

from bulkhaul.disk.boot import boot_id
from bulkhaul.disk.download_journal import DownloadJournal
from bulkhaul.disk.download_pending import has_journal, open_for_resume, remove_unowned
from bulkhaul.disk.download_records import DownloadState, PartArrived, Wanted
from bulkhaul.disk.frames import Flaw
from bulkhaul.disk.landing import Landing, require_replaceable
from bulkhaul.disk.left_temp import TEMP_NAME
from bulkhaul.disk.readback import read_back
from bulkhaul.engine.loop.tasks import all_or_none, undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.transfers.download_record import DownloadRecord
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.model.cores import usable_cores
from bulkhaul.model.errors import LocalError
from bulkhaul.model.limits import MIB
from bulkhaul.model.settings import Settings
from bulkhaul.policy.layout import Layout, Part
from bulkhaul.policy.sizes import format_size
from bulkhaul.wire.checksums import hasher
from bulkhaul.wire.values import RemoteObject

RESUMABLE_BYTES = 64 * MIB
"""Objects from this size on have a journal. A smaller one is fetched anew in about a second even at 500 Mbit/s, and
there may be millions of them."""

ALGORITHM = "CRC64NVME"
"""The checksum of parts where the object has none that can be checked part by part: one that costs workers least."""

_log = logging.getLogger("bulkhaul")


class DownloadResumer:
    """Takes up downloads by their journals.

    Attributes:
        left_objects: failed ones whose parts were kept, so that the next run goes on with them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.left_objects = 0

    async def record(
        self, destination: Destination, remote: RemoteObject, layout: Layout, folded: str
    ) -> DownloadRecord:
        """Return the record of a download: with what an earlier run has left of it, or of one that begins anew.

        Args:
            folded: algorithm that the parts are checked by, empty if none.

        Raises:
            LocalError: the destination cannot be replaced; what is there stays.
        """
        wanted = self._wanted(remote, layout, folded)
        if not has_journal(destination.folder.fd, destination.name):
            return DownloadRecord(destination, layout, wanted)
        require_replaceable(destination.name, destination.path, folder_fd=destination.folder.fd)
        try:
            found = await undisturbed(in_thread(open_for_resume, destination.folder.fd, destination.name), undo=_let_go)
        except OSError as error:
            _log.info("the journal of a download to %s cannot be read: %s", destination.path, error)
            found = None
        if found is None:
            _log.info("the download to %s begins anew: another run, or another user, has its journal", destination.path)
            return DownloadRecord(destination, layout, None)
        journal, state = found
        try:
            landing = await self._reopened(destination, wanted, state)
        except LocalError as error:
            _log.info("the download to %s begins anew: %s", destination.path, error.message)
            await undisturbed(in_thread(_remove, destination, journal, state))
            return DownloadRecord(destination, layout, wanted)
        except BaseException:
            journal.close()
            raise
        assert isinstance(state, DownloadState)
        record = DownloadRecord(destination, layout, wanted)
        boot = boot_id()
        try:
            record.keep(await self._intact(landing, layout, record.algorithm, state.trusted(boot)))
        except BaseException:
            self.left_objects += 1
            landing.keep()
            journal.close()
            raise
        record.go_on(landing, journal, boot if boot != state.boot else "")
        texts = format_size(record.kept_bytes), format_size(layout.size_bytes)
        _log.info("the download to %s goes on: %s of %s are there", destination.path, *texts)
        return record

    def _wanted(self, remote: RemoteObject, layout: Layout, folded: str) -> Wanted | None:
        head = remote.head
        large = layout.size_bytes >= RESUMABLE_BYTES and len(layout) > 1
        if not (large and head.etag and self._settings.resume):
            return None
        return Wanted(
            endpoint=remote.target.endpoint,
            bucket=remote.ref.bucket,
            key=remote.ref.key,
            version_id=head.version_id or remote.version_id,
            etag=head.etag,
            size_bytes=layout.size_bytes,
            part_size_bytes=layout.part_size_bytes,
            cuts=_digest_of(layout.starts) if layout.starts else "",
            algorithm=folded or ALGORITHM,
        )

    async def _reopened(self, destination: Destination, wanted: Wanted | None, state: DownloadState | Flaw) -> Landing:
        """Return the temp file of an earlier run.

        Raises:
            LocalError: it cannot be used; the message says why.
        """
        if isinstance(state, Flaw):
            raise LocalError(f"the journal: {state.value}")
        plan = state.plan
        if why := _misfit(plan.wanted, wanted, resume=self._settings.resume):
            raise LocalError(why)
        if plan.destination != destination.name:
            raise LocalError("the journal is one of another destination")
        if state.published or state.mapped is None:
            raise LocalError("nothing was fetched yet" if state.mapped is None else "it was published")
        landing = await undisturbed(
            in_thread(
                Landing.reopen,
                destination.folder.fd,
                destination.name,
                destination.path,
                plan.temp,
                plan.wanted.size_bytes,
                inode=plan.inode,
                device=plan.device if state.boot == boot_id() == plan.boot else None,
            ),
            undo=Landing.keep,
        )
        landing.mapped = self._settings.landing == "mapped" and state.mapped and landing.may_map()
        if self._settings.landing == "mapped" and not landing.mapped:
            landing.keep()
            raise LocalError("its temp file may not be mapped")
        return landing

    async def _intact(
        self, landing: Landing, layout: Layout, algorithm: str, trusted: dict[int, PartArrived]
    ) -> dict[int, int]:
        """Return index ─▶ checksum of the parts whose bytes in the file are as they came."""
        kept: dict[int, int] = {}

        async def look(arrived: PartArrived) -> None:
            if not 1 <= arrived.number <= len(layout):
                return
            part = layout[arrived.number - 1]
            if part.size_bytes == arrived.size_bytes:
                crc = await undisturbed(in_thread(_crc_of, landing.fd, part, algorithm))
                if crc == arrived.crc:
                    kept[part.number - 1] = crc

        await all_or_none(look, trusted.values(), at_once=usable_cores())
        return kept


def _misfit(old: Wanted, new: Wanted | None, *, resume: bool) -> str:
    """Return why a download is none that can go on, empty if it can."""
    if not resume:
        return "as --no-resume asks for"
    if new is None:
        return "the object is another one"
    if (old.endpoint, old.bucket, old.key) != (new.endpoint, new.bucket, new.key):
        return "what is there is of another object"
    if (old.version_id, old.etag, old.size_bytes) != (new.version_id, new.etag, new.size_bytes):
        return "the object has changed since"
    return "" if old == new else "it was cut into other parts, or checked otherwise"


def _crc_of(fd: int, part: Part, algorithm: str) -> int | None:
    digest = hasher(algorithm)
    try:
        read_back(fd, part.start, part.end, [digest])
    except OSError:
        return None  # what cannot be read is fetched again
    return int.from_bytes(digest.digest(), "big")


def _digest_of(starts: tuple[int, ...]) -> str:
    return hashlib.blake2b(msgspec.msgpack.encode(starts), digest_size=16).hexdigest()


def _remove(destination: Destination, journal: DownloadJournal, state: DownloadState | Flaw) -> None:
    """Remove a journal that does not fit, and before it the temp file that it names, unless somebody holds that."""
    if isinstance(state, DownloadState) and TEMP_NAME.fullmatch(state.plan.temp) and "/" not in state.plan.temp:
        remove_unowned(destination.folder.fd, state.plan.temp)
    if state is not Flaw.VERSION:
        journal.remove()
    journal.close()


def _let_go(found: tuple[DownloadJournal, DownloadState | Flaw] | None) -> None:
    if found is not None:
        found[0].close()
