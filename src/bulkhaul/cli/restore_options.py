"""Declares the options that bring archived objects back, for cp and sync, and does for lists of cp what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.click_extensions import adding, section

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.engine.transfers.rows import PlannedRow
    from bulkhaul.jobs.archives import Transfer
    from bulkhaul.model.archives import RestoreCounts, RestoreOptions
    from bulkhaul.model.results import TransferResult

_archives = section("Archives")

DAYS = 7
"""How long copies stay by default: as long as ``RestoreOptions`` says."""

restore_options = adding(
    _archives(
        "--restore",
        "restore_tier",
        type=click.Choice(["STANDARD", "BULK", "EXPEDITED"], case_sensitive=False),
        help="Bring archived objects back so fast, wait for them, and move each when it is there.",
    ),
    _archives(
        "--restore-days",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"How long their restored copies stay.  [default: {DAYS}]",
    ),
)


def take_restore(given: dict[str, Any]) -> tuple[RestoreOptions, RestoreCounts] | None:
    """Remove the options from ``given``; return how objects are brought back and what counts them, None if none are.

    Raises:
        click.UsageError: a number of days without ``--restore``.
    """
    tier, days = given.pop("restore_tier", None), given.pop("restore_days", None)
    if tier is None:
        if days is not None:
            raise click.UsageError("--restore-days needs --restore.")
        return None
    from bulkhaul.model.archives import RestoreCounts, RestoreOptions, Tier

    return RestoreOptions(Tier(tier.upper()), days or DAYS), RestoreCounts()


def restored_rows(
    run: Engine,
    rows: AsyncGenerator[Sequence[PlannedRow], None],
    transfer: Transfer,
    given: dict[str, Any],
    asked: AsyncEngine,
) -> Iterator[TransferResult]:
    """Carry out rows, and bring archived objects back where the command line says so.

    Args:
        asked: the engine of the source.
    """
    if not given["restore"] or given["dry_run"]:
        return run.each(transfer(rows))
    from bulkhaul.jobs.archives import restored

    options, counts = given["restore"]
    return run.each(restored(asked.control, rows, transfer, options, counts=counts))
