"""Offers the transfers of planned rows to asyncio programs: downloads, uploads, copies and deletions.

Each takes pages of rows, one by one, no faster than they are worked on, and yields exactly one result a row, as it
ends. What goes wrong with a row is that row's failure, and the others go on.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from typing import TYPE_CHECKING, Protocol

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.startable import Startable
from bulkhaul.engine.transfers.batch import Batch
from bulkhaul.engine.transfers.rows import RowPages
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.described import checked

if TYPE_CHECKING:
    from bulkhaul.engine.transfers.same_version import VersionSide


class OnOwnThread(Protocol):
    """An engine for programs without an event loop: ``Engine``. One like it is made on the thread of another."""

    @property
    def aio(self) -> Startable:
        """The async engine behind it."""
        ...


class RowTransfers(Startable):
    """What an engine does with the rows of a plan.

    Rows come in pages, from an asynchronous iterable or any other, which is read in a thread: it holds up the end of
    the engine for as long as it blocks. What it raises ends the run, when everything under way has ended. A page may
    also hold a ``TransferResult`` in the place of a row: it is handed on as it is. Rows whose action is ``skip`` are
    skipped.
    """

    def download_rows(
        self,
        rows: RowPages,
        root: str | os.PathLike[str],
        *,
        move: bool = False,
        set_times: bool = False,
        many_disks: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Restore the objects of rows to files below a folder (made if missing).

        A row that tells size and ETag, and with ``set_times`` its time, is fetched without a HEAD.

        Args:
            rows: each destination is the path of a file below ``root``; no two rows may have the same.
            move: delete each object once its file is on disk for good.
            set_times: give each file the modification time of its object.
            many_disks: the files may lie on several below ``root``: of one that is full or read-only the rows of that
                folder fail, which else ends the run. The root itself need not take files.

        Yields:
            One result a row. It failed with PreconditionFailed where the object has another ETag than the row.

        Raises:
            LocalError: the folder cannot be made or written.
            Whatever the iterable raises.
        """
        from bulkhaul.engine.transfers.download_pieces import DownloadPieces
        from bulkhaul.engine.transfers.rows_down import RowDownloads

        running, folder = self._life.running(), local_path(root)
        links = self.settings.store_links
        pages = RowDownloads(running.control, rows, folder, move=move, set_times=set_times, store_links=links)
        parts = (self.settings, running.dispatcher, running.downloader, folder, pages)
        plan = DownloadPieces(*parts, remove=move, set_times=set_times, many_disks=many_disks)
        if dry_run:
            return plan.dry()
        return self._life.many(plan.pieces, at_end=plan.close, many_buckets=True, many_disks=many_disks)

    def upload_rows(
        self,
        rows: RowPages,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        move: bool = False,
        many_disks: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Upload the files of rows; links are followed, or with the setting ``store_links`` stored themselves.

        Args:
            move: remove each file once it is stored.
            many_disks: the files may lie on several; see ``download_rows``.

        Yields:
            One result a row.

        Raises:
            Whatever the iterable raises.
        """
        from bulkhaul.engine.transfers.rows_up import uploaded_rows

        uploader = self._life.running().uploader
        plan = functools.partial(uploaded_rows, uploader, rows, checked(options), remove=move)
        if dry_run:
            return Batch(self.settings, plan).planned()
        return self._life.many(plan, many_buckets=True, many_disks=many_disks)

    def copy_rows(
        self,
        rows: RowPages,
        options: ObjectOptions | None = None,
        *,
        origin: RowTransfers | OnOwnThread | None = None,
        preserve: Collection[Kept] = (),
        move: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Copy the objects of rows; see ``AsyncEngine.copy``.

        Rows that tell how many older versions there are (``Row.older``) are carried out one after the other, as far as
        they have one destination; see ``copy_versions``.

        Yields:
            One result a row. It failed with PreconditionFailed where the object has another ETag than the row.

        Raises:
            Whatever the iterable raises.
        """
        from bulkhaul.engine.transfers.rows_copied import copied_rows
        from bulkhaul.engine.transfers.rows_versions import VersionCopies

        options = None if options is None else checked(options)
        kept = frozenset(preserve)
        copy = functools.partial(self.copying(origin), options=options, preserve=kept, remove=move)
        here, other = self.version_side(), on_this_loop(origin)
        versions = VersionCopies(here if other is None else other.version_side(), here, copy, options, kept)
        plan = functools.partial(copied_rows, rows, copy, versions, move=move)
        return Batch(self.settings, plan).planned() if dry_run else self._life.many(plan, many_buckets=True)

    def copy_versions(
        self,
        source: str | ObjectRef,
        destination: str,
        options: ObjectOptions | None = None,
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        origin: RowTransfers | OnOwnThread | None = None,
        preserve: Collection[Kept] = (),
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Copy every version of one object, of everything below a prefix, or that matches a pattern; see ``copy``.

        Of each key the oldest comes first, and where the source has a delete marker the destination gets one. What an
        earlier call has copied is skipped. If a version fails, so do the later ones of its key.

        Yields:
            One result a version, with ``source_version_id``, and the ``version_id`` that it has got. It failed with
            PreconditionFailed where the destination has another history of its key.

        Raises:
            NotFound: nothing matches.
            UsageError: the bucket of the destination keeps no versions, or source and destination are one.
        """
        from bulkhaul.engine.transfers.versions_planned import planned_versions

        pages = planned_versions(
            (on_this_loop(origin) or self).version_side(), source, self.version_side(), destination, include, exclude,
            recursive=recursive, asks=not dry_run,
        )  # fmt: skip
        return self.copy_rows(pages, options, origin=origin, preserve=preserve, dry_run=dry_run)

    def version_side(self) -> VersionSide:
        """Return what asks the service, and reads from it, for copies of versions."""
        from bulkhaul.engine.transfers.same_version import VersionSide

        running = self._life.running()
        return VersionSide(running.control, running.dispatcher)

    def delete_rows(self, rows: RowPages, *, dry_run: bool = False) -> AsyncGenerator[TransferResult, None]:
        """Delete the objects, or the versions, of rows, 1,000 a request.

        Yields:
            One result a row; an object that is not there is no failure. With PreconditionFailed failed a row whose
            object has another ETag: it stays.

        Raises:
            Whatever the iterable raises.
        """
        from bulkhaul.engine.transfers.rows_deleted import RowDeletions

        running = self._life.running()
        plan = functools.partial(RowDeletions(running.control, running.remover).pieces, rows)
        return Batch(self.settings, plan).planned() if dry_run else self._life.many(plan, many_buckets=True)

    def copying(
        self, origin: RowTransfers | OnOwnThread | None
    ) -> Callable[..., Coroutine[None, None, TransferResult]]:
        """Return what copies one object: within the service, or from that of another engine."""
        running, other = self._life.running(), on_this_loop(origin)
        if other is None:
            return running.copier.copy
        return functools.partial(running.relay.copy, other._life.running().origin)


def on_this_loop(origin: RowTransfers | OnOwnThread | None) -> RowTransfers | None:
    """Return the engine that a source is read with.

    Raises:
        UsageError: it has an event loop of its own.
    """
    if origin is None or isinstance(origin, RowTransfers):
        return origin
    raise UsageError(
        "origin= is an Engine, which has an event loop of its own; copy by another Engine, or give an AsyncEngine"
    )
