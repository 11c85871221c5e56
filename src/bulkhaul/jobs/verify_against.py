"""Checks one of the places of a certificate again: ``verify_against`` and ``verify_against_async``."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
from collections.abc import AsyncGenerator, Iterator, Sequence

import msgspec

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.certificate import Certificate, CertificateRow
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.jobs.verify_pair import PairCheck
from bulkhaul.jobs.verify_places import side_of
from bulkhaul.jobs.verify_progress import VerifyProgress
from bulkhaul.jobs.verifying import ROWS_AT_ONCE, Begun, in_order_of_names
from bulkhaul.model.errors import UsageError
from bulkhaul.model.verdicts import PairResult, SideFacts, Verdict
from bulkhaul.policy.comparison import Entry
from bulkhaul.policy.evidence import Known
from bulkhaul.policy.verify_rules import parse_rules


class Sample(msgspec.Struct, frozen=True):
    """Which rows are checked: so many of them, chosen at random; the same ones for the same seed."""

    rows: int
    seed: int


def verify_against(
    engine: Engine,
    certificate: str | os.PathLike[str],
    place: str | os.PathLike[str],
    options: VerifyOptions | None = None,
    *,
    sample: Sample | None = None,
    counts: VerifyCounts | None = None,
    progress: VerifyProgress | None = None,
) -> Iterator[PairResult]:
    """Check again on the loop of a blocking engine; see ``verify_against_async``."""
    return engine.each(
        verify_against_async(engine.aio, certificate, place, options, sample=sample, counts=counts, progress=progress)
    )


async def verify_against_async(
    engine: AsyncEngine,
    certificate: str | os.PathLike[str],
    place: str | os.PathLike[str],
    options: VerifyOptions | None = None,
    *,
    sample: Sample | None = None,
    counts: VerifyCounts | None = None,
    progress: VerifyProgress | None = None,
) -> AsyncGenerator[PairResult, None]:
    """Check that a place still has what a certificate says, all of it or a sample.

    Names that the certificate does not have are not looked for.

    Args:
        place: one of the two of the certificate, or any other that should have the same.
        options: how; ``compare``, ``read``, ``read_all`` and ``part_size_bytes`` count.
        counts, progress: are kept up to date.

    Yields:
        One result a row, in the order of names; ``other`` is empty.

    Raises:
        ManifestError: it is no certificate, or was changed. Nothing was compared then.
        UsageError: the options make no sense.
        LocalError: the certificate cannot be read.
    """
    options, counts = options or VerifyOptions(), counts if counts is not None else VerifyCounts()
    progress = progress or VerifyProgress()
    rules, extras = parse_rules(
        options.compare, read=options.read, read_all=options.read_all, part_size_bytes=options.part_size_bytes
    )
    if extras or options.include or options.exclude or options.certificate:
        raise UsageError("a certificate tells what is compared: without patterns, metadata, tags or a new certificate")
    if sample is not None and sample.rows < 1:
        raise UsageError(f"a sample of {sample.rows} rows shows nothing; take at least one")
    opened = await in_thread(Certificate, os.fspath(certificate))
    counts.root = opened.end.root
    try:
        where = os.fspath(place)
        side = await side_of(engine, where, single=opened.head.single)
        first_b = where != opened.head.a
        chosen = None
        if sample is not None and sample.rows < opened.end.rows:
            chosen = sorted(random.Random(sample.seed).sample(range(opened.end.rows), sample.rows))  # noqa: S311
        pairs = PairCheck(side, None, rules, progress=progress)
        begun = _begun(pairs, opened.rows(chosen), first_b=first_b)
        async with contextlib.aclosing(in_order_of_names(begun, progress)) as results:
            async for result in results:
                counts.add(result)
                yield result
    finally:
        opened.close()


async def _begun(
    pairs: PairCheck, rows: Iterator[CertificateRow], *, first_b: bool
) -> AsyncGenerator[Sequence[Begun], None]:
    while page := await in_thread(lambda: list(itertools.islice(rows, ROWS_AT_ONCE))):
        yield [functools.partial(_checked, pairs, row, first_b=first_b) for row in page]


async def _checked(pairs: PairCheck, row: CertificateRow, *, first_b: bool) -> PairResult:
    facts = (row.b, row.a) if first_b else (row.a, row.b)
    result = await pairs.check(row.key, (Entry(row.key), _known(row, facts[0])))
    if result.verdict is Verdict.UNDECIDABLE:
        again = await pairs.check(row.key, (Entry(row.key), _known(row, facts[1])))
        if again.verdict is not Verdict.UNDECIDABLE:
            return msgspec.structs.replace(again, read_bytes=again.read_bytes + result.read_bytes)
    return result


def _known(row: CertificateRow, facts: SideFacts) -> Known:
    return Known(
        kind="record",
        size_bytes=row.size,
        etag=facts.etag,
        encryption=facts.encryption,
        checksum=facts.checksum,
        digests=facts.digests,
    )
