"""Compares both sides of a sync: lists them side by side, and yields the rows of what differs.

list both ─▶ merge_join ─▶ SyncPlan ─▶ pages of rows
                              ╰─▶ what only the destination has, known when both have been listed
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from bulkhaul.disk.folder import DestinationTree
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.evidence import Evidence
from bulkhaul.jobs.merge_join import merge_join
from bulkhaul.jobs.ordering import in_order
from bulkhaul.jobs.places import FileSide, ObjectSide, Side, Sides, sides_of
from bulkhaul.jobs.sides import Item, file_pages, object_pages, read_ahead
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.sync_plan import LocalNames, PlannedRow, SyncPlan
from bulkhaul.model.rows import Action
from bulkhaul.policy.comparison import listed_difference, parse_compare
from bulkhaul.policy.preserving import require_between_buckets
from bulkhaul.policy.selection import excludes_below, selector
from bulkhaul.policy.withholding import parse_limit, withheld

DIRECTORY_BUCKET = "--x-s3"
"""How the names of directory buckets end, which list in no order. Source: S3 User Guide, "Directory bucket naming
rules" and ListObjectsV2, "Sorting order of returned objects"."""


class Comparing:
    """One comparison.

    Attributes:
        sides: what is compared.
        plan: what has come of it so far.
        tree: the destination of a download; None where nothing is to be made there.
    """

    def __init__(
        self,
        sides: Sides,
        plan: SyncPlan,
        options: SyncOptions,
        counts: SyncCounts,
        tree: DestinationTree | None,
        *,
        stores_links: bool,
    ) -> None:
        self.sides = sides
        self.plan = plan
        self.tree = tree
        self._options = options
        self._counts = counts
        self._stores_links = stores_links

    async def pages(self) -> AsyncGenerator[Sequence[PlannedRow], None]:
        """Yield the rows of transfers, and the results of those that cannot be, each page as soon as it is known.

        Raises:
            TransferError: a side cannot be listed.
        """
        sides, options = self.sides, self._options
        takes = selector(sides.selection, options.include, options.exclude)
        named = selector(sides.selection, options.include, options.exclude, stores_links=self._stores_links)
        excludes = excludes_below(options.include, options.exclude)
        source: AsyncGenerator[list[Item], None]
        if isinstance(sides.source, ObjectSide):
            source = _listed(sides.source, sides.listed, named)
        else:
            source = file_pages(
                root_of(sides.source),
                takes,
                excludes,
                follow_symlinks=options.follow_symlinks,
                folders=options.dir_markers,
                nameless=self.plan.nameless.append,
                takes_link=named if self._stores_links else None,
            )
        destination: AsyncGenerator[list[Item], None]
        if isinstance(sides.destination, ObjectSide):
            destination = _listed(sides.destination, sides.destination.base, named)
        else:
            destination = file_pages(
                root_of(sides.destination),
                takes,
                excludes,
                follow_symlinks=False,
                folders=options.dir_markers,
                destination=True,
                takes_link=named if self._stores_links else None,
            )
        async with read_ahead(source) as ours, read_ahead(destination) as theirs:
            async with contextlib.aclosing(self.plan.pages(merge_join(ours, theirs))) as pages:
                async for page in pages:
                    yield page

    def withheld(self, *, failed: int = 0) -> str:
        """Return why what only the destination has must stay, empty if it may be deleted; asked at the end.

        Args:
            failed: transfers and names that failed.
        """
        return withheld(
            self.plan.doomed.count,
            self._counts.at_destination,
            found=self._counts.found,
            failed=failed,
            unsound=self.plan.unsound,
            limit=parse_limit(self._options.max_delete) if self._options.max_delete else None,
        )


@contextlib.asynccontextmanager
async def comparing(
    engine: AsyncEngine, origin: AsyncEngine, source: str, destination: str, options: SyncOptions, counts: SyncCounts
) -> AsyncIterator[Comparing]:
    """Compare two places.

    Args:
        origin: asks for the source.
        counts: is kept up to date.

    Raises:
        UsageError: the places make no sense together, or an option makes none.
    """
    compare = parse_compare(options.compare)
    if options.max_delete:
        parse_limit(options.max_delete)
    sides = await sides_of(engine, origin, source, destination)
    require_between_buckets(options.preserve, source, is_copy=sides.action is Action.COPY)
    settings = engine.settings
    evidence = Evidence(compare, sides.source, sides.destination, keeps_times=settings.preserve_times)
    stores_links = settings.store_links and sides.action is not Action.COPY
    tree, names = None, None
    if sides.action is Action.DOWNLOAD:
        folds_case = False
        if not options.dry_run:
            tree = await undisturbed(in_thread(DestinationTree, root_of(sides.destination), kept=1))
            folds_case = await undisturbed(in_thread(tree.folds_case))
        assert isinstance(sides.source, ObjectSide)
        names = LocalNames(sides.source.base, folds_case=folds_case, stores_links=stores_links)
    plan = SyncPlan(
        sides.action,
        sides.source,
        sides.destination,
        listed_difference(compare, sides.action),
        evidence,
        names=names,
        delete=options.delete,
        dir_markers=options.dir_markers,
        left_out=sides.left_out,
        counts=counts,
    )
    try:
        yield Comparing(sides, plan, options, counts, tree, stores_links=stores_links)
    finally:
        plan.close()
        if tree is not None:
            tree.close()


def root_of(side: Side) -> str:
    """Return the folder of a side that is one, with a slash at its end."""
    assert isinstance(side, FileSide)
    return side.base


async def _listed(side: ObjectSide, prefix: str, takes: Callable[[str], bool]) -> AsyncGenerator[list[Item], None]:
    listing = object_pages(side.control, side.bucket, prefix, side.base, takes)
    unordered = side.bucket.endswith(DIRECTORY_BUCKET)
    async with contextlib.aclosing(in_order(listing, f"s3://{side.bucket}/{prefix}", unordered=unordered)) as pages:
        async for page in pages:
            yield list(page)
