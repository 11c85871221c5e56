"""``bulkhaul verify``: its help page and options; it compares, or checks a certificate again."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand, section
from bulkhaul.cli.comparison_options import comparison_options
from bulkhaul.cli.options import (
    connection_options,
    filter_options,
    make_settings,
    output_options,
    speed_options,
    take_output,
    take_settings,
)
from bulkhaul.cli.source_options import origin_settings, source_options
from bulkhaul.cli.verbosity import log_level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhaul.engine.facade import Engine
    from bulkhaul.jobs.verify_against import Sample
    from bulkhaul.model.results import TransferResult

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
@output_options
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
    output = take_output(given)
    counts = VerifyCounts()
    chosen = _sample(sample, seed)
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.launch import launch_job
    from bulkhaul.cli.verify_report import VerifyReport
    from bulkhaul.jobs.verify_progress import VerifyProgress

    progress = VerifyProgress()

    def results(engine: Engine) -> Iterator[TransferResult]:
        from bulkhaul.cli.verify_report import of_pair

        if against:
            from bulkhaul.jobs.verify_against import verify_against

            found = verify_against(engine, against, paths[0], options, sample=chosen, counts=counts, progress=progress)
        else:
            from bulkhaul.jobs.verifying import verify as compared

            beside = engine.beside(origin) if origin is not None else None
            one, other = paths
            found = compared(engine, one, other, options, origin=beside, counts=counts, progress=progress)
        yield from map(of_pair, found)

    job = Job(
        operation="verify",
        results=results,
        source=paths[0],
        destination="" if against else paths[1],
        dry_run=False,
        settings=settings,
        remains="no certificate was written" if options.certificate else "",
        asks=any(path.startswith("s3://") for path in paths),
        progress=progress.progress,
        report=functools.partial(
            VerifyReport,
            verdicts=counts,
            shows_equal=show_all or log_level(ctx) in ("info", "debug"),
            seed=None if chosen is None else chosen.seed,
            certificate=bool(options.certificate),
        ),
    )
    launch_job(ctx, job, output)


def _sample(rows: int | None, seed: int | None) -> Sample | None:
    if rows is None:
        return None
    import secrets

    from bulkhaul.jobs.verify_against import Sample

    return Sample(rows, secrets.randbelow(2**32) if seed is None else seed)
