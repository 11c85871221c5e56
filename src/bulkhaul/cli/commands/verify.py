"""``bulkhaul verify``: its help page and options; it compares, or checks a certificate again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand, section
from bulkhaul.cli.comparison_options import comparison_options
from bulkhaul.cli.options import (
    connection_options,
    filter_options,
    make_settings,
    speed_options,
    take_settings,
)
from bulkhaul.cli.source_options import origin_settings, source_options
from bulkhaul.cli.verbosity import log_level

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.jobs.verify_against import Sample
    from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
    from bulkhaul.model.settings import Settings
    from bulkhaul.model.verdicts import PairResult

EPILOG = """\b
Examples:
  bulkhaul verify results/ s3://bucket/run-7/
  bulkhaul verify --compare checksum,metadata,tags s3://bucket/run-7/ s3://copy/run-7/
  bulkhaul verify --read --json s3://bucket/run-7/ s3://copy/run-7/
  bulkhaul verify --certificate run-7.jsonl results/ s3://bucket/run-7/
  bulkhaul verify --against run-7.jsonl --sample 1000 s3://bucket/run-7/

Each place is a prefix or a folder, or one object or file. Each name is equal, different, missing or undecidable, and
each verdict names what it rests on: checksums that services store, checksums and ETags computed of files, MD5s, or with
--read the bytes. Two ETags of uploads in parts that differ prove nothing.

--certificate writes what was equal, under a SHA-256 Merkle root, and only if everything was. --against checks the
certificate, and then a place: either of the two, or another one that should have the same.

\b
Exit code: 0 all are equal, 1 any is not or something failed, 2 the command line makes no sense, 130 interrupted.
"""

_selection = section("Selection")
_certificate = section("Certificates")
_output = section("Output")


@click.command("verify", cls=SectionedCommand, epilog=EPILOG, short_help="Prove that two places have the same.")
@click.argument("paths", metavar="A B", nargs=-1)
@comparison_options
@filter_options
@_certificate("--certificate", metavar="FILE", default="", help="Write what was equal, if everything was.")
@_certificate("--against", metavar="FILE", default="", help="Check what a certificate says of one place.")
@_certificate("--sample", type=click.IntRange(min=1), metavar="N", help="Of --against: N rows chosen at random.")
@_certificate("--seed", type=click.IntRange(min=0), metavar="N", help="Of --sample: the same rows as another time.")
@speed_options
@connection_options
@source_options
@_output("--all", "show_all", is_flag=True, help="A line for what is equal, too; so does -v.")
@_output("--json", "as_json", is_flag=True, help="One line of JSON a name, and a summary, on stdout.")
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    *,
    paths: tuple[str, ...],
    against: str,
    sample: int | None,
    seed: int | None,
    show_all: bool,
    as_json: bool,
    **given: Any,
) -> NoReturn:
    """Compare two places name by name, and say what each verdict rests on; nothing is changed.

    A is compared with B; with --against there is one place only.
    """
    if len(paths) != (1 if against else 2):
        raise click.UsageError("--against takes one place." if against else "two places, A and B.")
    if sample is not None and not against:
        raise click.UsageError("--sample needs --against.")
    if seed is not None and sample is None:
        raise click.UsageError("--seed needs --sample.")
    from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
    from bulkhaul.policy.verify_rules import parse_rules

    given["compare"] = given["compare"] or "checksum"
    fields = {name: given.pop(name) for name in ("compare", "read", "read_all", "include", "exclude", "certificate")}
    settings = make_settings(take_settings(given))
    options = VerifyOptions(part_size_bytes=settings.part_size_bytes, **fields)
    parse_rules(options.compare, read=options.read, read_all=options.read_all)
    origin = origin_settings(settings, given)
    if against and origin is not None:
        raise click.UsageError("--against takes one place, whose endpoint is that of --endpoint-url.")
    if against and any(options.include or options.exclude or (options.certificate,)):
        raise click.UsageError("--against takes the names of the certificate: no patterns, and no --certificate.")
    counts = VerifyCounts()
    chosen = _sample(sample, seed)
    shows_equal = show_all or log_level(ctx) in ("info", "debug")

    async def work(engine: AsyncEngine, out: Lines) -> int:
        import time

        from bulkhaul.cli import verify_lines
        from bulkhaul.model.verdicts import Verdict

        began_s = time.monotonic()
        if against:
            from bulkhaul.jobs.verify_against import verify_against_async

            results = verify_against_async(engine, against, paths[0], options, sample=chosen, counts=counts)
        else:
            results = _compared(engine, paths, options, origin, counts)
        async with contextlib.aclosing(results):
            async for result in results:
                if as_json:
                    await out.write(verify_lines.json_line(result))
                elif shows_equal or result.verdict is not Verdict.EQUAL:
                    await out.write(verify_lines.human_line(result))
        summary = verify_lines.json_summary if as_json else verify_lines.human_summary
        told = None if chosen is None else chosen.seed
        if options.certificate and not counts.root:
            out.error("bulkhaul: no certificate was written: not everything is equal\n")
        await out.write(summary(counts, time.monotonic() - began_s, seed=told))
        return 0 if counts.all_equal else 1

    from bulkhaul.cli.launch import launch_query

    launch_query(ctx, work, settings, operation="verify", as_json=as_json, workers=None)


async def _compared(
    engine: AsyncEngine, paths: tuple[str, ...], options: VerifyOptions, origin: Settings | None, counts: VerifyCounts
) -> AsyncGenerator[PairResult, None]:
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.jobs.verifying import verify_async

    async with contextlib.AsyncExitStack() as stack:
        beside = None if origin is None else await stack.enter_async_context(AsyncEngine(origin))
        one, other = paths
        results = verify_async(engine, one, other, options, origin=beside, counts=counts)
        async with contextlib.aclosing(results):
            async for result in results:
                yield result


def _sample(rows: int | None, seed: int | None) -> Sample | None:
    if rows is None:
        return None
    import secrets

    from bulkhaul.jobs.verify_against import Sample

    return Sample(rows, secrets.randbelow(2**32) if seed is None else seed)
