"""The ladder of evidence: what two sides tell, and which verdict follows. Every digest is a library's."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from awscrt import checksums as crt

from bulkhaul.errors import UsageError
from bulkhaul.jobs.verify_digests import Digests
from bulkhaul.jobs.verify_pair import _evident, _folded
from bulkhaul.jobs.verify_places import StoredSide
from bulkhaul.model.objects import Checksum, ChecksumKind, PartChecksum
from bulkhaul.model.verdicts import Evidence, Verdict
from bulkhaul.policy.evidence import AskParts, Composite, Decided, Known, Read, next_step
from bulkhaul.policy.partsizes import possible_parts
from bulkhaul.policy.verify_rules import Rules, parse_rules

MIB = 1024 * 1024
BODY = bytes(range(256)) * 10
OTHER = BODY[:-1] + b"?"
CUTS = (1000, 2000, 2560)
OTHER_CUTS = (1500, 2560)


def b64(value: bytes) -> str:
    """Return base64 as text."""
    return base64.b64encode(value).decode()


def pieces(body: bytes, cuts: tuple[int, ...] = CUTS) -> list[bytes]:
    """Return the parts of a body."""
    return [body[start:end] for start, end in zip((0, *cuts), cuts, strict=False)]


def crc32(body: bytes) -> str:
    """Return the CRC32 as S3 writes it."""
    return b64(zlib.crc32(body).to_bytes(4, "big"))


def full(body: bytes, algorithm: str = "CRC64NVME") -> Checksum:
    """Return the checksum of all bytes that S3 would store."""
    if algorithm == "CRC64NVME":
        return Checksum(algorithm, b64(crt.crc64nvme(body).to_bytes(8, "big")))
    if algorithm == "CRC32":
        return Checksum(algorithm, crc32(body))
    return Checksum(algorithm, b64(hashlib.new(algorithm, body).digest()))


def in_parts(body: bytes, cuts: tuple[int, ...] = CUTS) -> Checksum:
    """Return the composite CRC32 that S3 would store."""
    joined = b"".join(base64.b64decode(crc32(part)) for part in pieces(body, cuts))
    return Checksum("CRC32", f"{crc32(joined)}-{len(cuts)}", ChecksumKind.COMPOSITE)


def parts_of(body: bytes, cuts: tuple[int, ...] = CUTS) -> tuple[PartChecksum, ...]:
    """Return the parts as GetObjectAttributes tells them."""
    return tuple(PartChecksum(len(part), crc32(part)) for part in pieces(body, cuts))


def plain(body: bytes) -> str:
    """Return the ETag of one PUT."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def multipart(body: bytes, cuts: tuple[int, ...] = CUTS) -> str:
    """Return the ETag of an upload in parts."""
    joined = b"".join(hashlib.md5(part).digest() for part in pieces(body, cuts))
    return f'"{hashlib.md5(joined).hexdigest()}-{len(cuts)}"'


def stored(**fields: Any) -> Known:
    """Return an object of the body's size."""
    return Known(kind="object", size_bytes=len(BODY), **fields)


def decided(
    one: Known, other: Known, rules: Rules | None = None, bodies: tuple[bytes, bytes] = (BODY, BODY)
) -> Decided:
    """Take all steps, with what sides that are read hold; parts that are asked for are not told."""
    sides = [one, other]
    for _ in range(6):
        step = next_step(sides[0], sides[1], rules or Rules())
        if isinstance(step, Decided):
            return step
        for i in step.sides:
            fields = {name: getattr(sides[i], name) for name in Known.__struct_fields__}
            if isinstance(step, AskParts):
                fields["parts"] = ()
            else:
                running = Digests(step.digests, step.composites)
                running.update(memoryview(bodies[i]))
                fields["digests"] = sides[i].digests | running.digests()
                fields["composites"] = sides[i].composites | running.composites()
                fields["read"] = True
            sides[i] = Known(**fields)
    raise AssertionError("it never ends")


FILE = Known(kind="file", size_bytes=len(BODY))
KMS = "aws:kms"

EQUAL, DIFFERENT, UNDECIDABLE = Verdict.EQUAL, Verdict.DIFFERENT, Verdict.UNDECIDABLE
TABLE: dict[str, tuple[Known, Known, Verdict, Evidence | None]] = {
    "full checksums": (stored(checksum=full(BODY)), stored(checksum=full(BODY)), EQUAL, Evidence.STORED_CHECKSUM),
    "full checksums differ": (
        stored(checksum=full(BODY)), stored(checksum=full(OTHER)), DIFFERENT, Evidence.STORED_CHECKSUM,
    ),
    "checksums before ETags": (
        stored(checksum=full(BODY), etag=multipart(BODY)),
        stored(checksum=full(BODY), etag=multipart(BODY, OTHER_CUTS)),
        EQUAL, Evidence.STORED_CHECKSUM,
    ),
    "checksums that MD5s contradict": (
        stored(checksum=full(BODY), etag=plain(BODY)), stored(checksum=full(BODY), etag=plain(OTHER)),
        DIFFERENT, Evidence.MD5,
    ),
    "checksums, and ETags that are no MD5s": (
        stored(checksum=full(BODY), etag=plain(BODY), encryption=KMS),
        stored(checksum=full(BODY), etag=plain(OTHER), encryption=KMS),
        EQUAL, Evidence.STORED_CHECKSUM,
    ),
    "two algorithms": (
        stored(checksum=full(BODY)), stored(checksum=full(BODY, "SHA256")), UNDECIDABLE, None,
    ),
    "two algorithms, MD5s": (
        stored(checksum=full(BODY), etag=plain(BODY)), stored(checksum=full(BODY, "SHA256"), etag=plain(BODY)),
        EQUAL, Evidence.MD5,
    ),
    "composite": (stored(checksum=in_parts(BODY)), stored(checksum=in_parts(BODY)), EQUAL, Evidence.COMPOSITE_CHECKSUM),
    "composite, same parts": (
        stored(checksum=in_parts(BODY), parts=parts_of(BODY)), stored(checksum=in_parts(OTHER), parts=parts_of(OTHER)),
        DIFFERENT, Evidence.COMPOSITE_CHECKSUM,
    ),
    "composite, other parts": (
        stored(checksum=in_parts(BODY), parts=parts_of(BODY)),
        stored(checksum=in_parts(BODY, OTHER_CUTS), parts=parts_of(BODY, OTHER_CUTS)),
        UNDECIDABLE, None,
    ),
    "composite, parts untold": (
        stored(checksum=in_parts(BODY)), stored(checksum=in_parts(BODY, OTHER_CUTS)), UNDECIDABLE, None,
    ),
    "folded": (
        stored(checksum=in_parts(BODY), parts=parts_of(BODY), folded=full(BODY, "CRC32")),
        stored(checksum=full(BODY, "CRC32")), EQUAL, Evidence.FOLDED_CHECKSUM,
    ),
    "folded differs": (
        stored(checksum=in_parts(BODY), parts=parts_of(BODY), folded=full(BODY, "CRC32")),
        stored(checksum=full(OTHER, "CRC32")), DIFFERENT, Evidence.FOLDED_CHECKSUM,
    ),
    "a file's CRC": (FILE, stored(checksum=full(BODY)), EQUAL, Evidence.COMPUTED_CHECKSUM),
    "a file's CRC differs": (FILE, stored(checksum=full(OTHER)), DIFFERENT, Evidence.COMPUTED_CHECKSUM),
    "a file's SHA-256": (stored(checksum=full(BODY, "SHA256")), FILE, EQUAL, Evidence.COMPUTED_CHECKSUM),
    "a file's composite": (
        FILE, stored(checksum=in_parts(BODY), parts=parts_of(BODY)), EQUAL, Evidence.COMPUTED_CHECKSUM,
    ),
    "a file's composite differs": (
        FILE, stored(checksum=in_parts(OTHER), parts=parts_of(OTHER)), DIFFERENT, Evidence.COMPUTED_CHECKSUM,
    ),
    "a file's composite of guessed parts differs": (
        FILE, stored(checksum=in_parts(OTHER), parts=tuple(PartChecksum(len(p)) for p in pieces(BODY))),
        UNDECIDABLE, None,
    ),
    "unknown kind, whole": (
        FILE, stored(checksum=Checksum("CRC32", crc32(BODY), ChecksumKind.UNKNOWN), parts=parts_of(BODY)),
        EQUAL, Evidence.COMPUTED_CHECKSUM,
    ),
    "unknown kind, neither": (
        FILE, stored(checksum=Checksum("CRC32", crc32(b"x"), ChecksumKind.UNKNOWN), parts=parts_of(BODY)),
        UNDECIDABLE, None,
    ),
    "multipart ETag of told parts": (
        FILE, stored(etag=multipart(BODY), parts=parts_of(BODY)), EQUAL, Evidence.MULTIPART_ETAG,
    ),
    "multipart ETag of told parts differs": (
        FILE, stored(etag=multipart(OTHER), parts=parts_of(BODY)), DIFFERENT, Evidence.MULTIPART_ETAG,
    ),
    "multipart ETag of guessed parts": (
        FILE, stored(etag=multipart(OTHER), parts=tuple(PartChecksum(len(p)) for p in pieces(BODY))), UNDECIDABLE, None,
    ),
    "multipart ETag of unknown parts": (FILE, stored(etag=multipart(BODY)), UNDECIDABLE, None),
    "multipart ETag, one part": (FILE, stored(etag=multipart(BODY, (2560,))), EQUAL, Evidence.MULTIPART_ETAG),
    "a file's MD5": (FILE, stored(etag=plain(BODY)), EQUAL, Evidence.MD5),
    "a file's MD5 differs": (FILE, stored(etag=plain(OTHER)), DIFFERENT, Evidence.MD5),
    "a file against KMS": (FILE, stored(etag=plain(BODY), encryption=KMS), UNDECIDABLE, None),
    "a file against SSE-C": (FILE, stored(etag=plain(BODY), encryption="SSE-C"), UNDECIDABLE, None),
    "a file against SSE-S3": (FILE, stored(etag=plain(BODY), encryption="AES256"), EQUAL, Evidence.MD5),
    "MD5s": (stored(etag=plain(BODY)), stored(etag=plain(BODY)), EQUAL, Evidence.MD5),
    "MD5s differ": (stored(etag=plain(BODY)), stored(etag=plain(OTHER)), DIFFERENT, Evidence.MD5),
    "MD5s, one with KMS": (stored(etag=plain(BODY), encryption=KMS), stored(etag=plain(OTHER)), UNDECIDABLE, None),
    "the same ETag with KMS": (
        stored(etag=plain(BODY), encryption=KMS), stored(etag=plain(BODY), encryption=KMS), UNDECIDABLE, None,
    ),
    "multipart ETags": (stored(etag=multipart(BODY)), stored(etag=multipart(BODY)), EQUAL, Evidence.ETAG),
    "multipart ETags differ": (
        stored(etag=multipart(BODY)), stored(etag=multipart(BODY, OTHER_CUTS)), UNDECIDABLE, None,
    ),
    "multipart ETags of the same parts differ": (
        stored(etag=multipart(BODY), parts=parts_of(BODY)), stored(etag=multipart(OTHER), parts=parts_of(OTHER)),
        DIFFERENT, Evidence.MULTIPART_ETAG,
    ),
    "a weak ETag": (stored(etag="W/" + plain(BODY)), stored(etag="W/" + plain(BODY)), UNDECIDABLE, None),
    "no ETags": (stored(), stored(), UNDECIDABLE, None),
    "two files": (FILE, FILE, EQUAL, Evidence.BYTES),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_the_ladder(case: str) -> None:
    """The strongest thing that both sides have decides, in both orders; what nothing decides is told with a way out."""
    one, other, verdict, evidence = TABLE[case]
    for pair in ((one, other), (other, one)):
        found = decided(*pair)
        assert (found.verdict, found.evidence) == (verdict, evidence)
        assert bool(found.reason) == (verdict is not EQUAL)
        assert ("--read" in found.reason) == (verdict is UNDECIDABLE)


@pytest.mark.parametrize("case", [case for case, row in TABLE.items() if row[2] is UNDECIDABLE])
def test_reading_decides_what_nothing_else_does(case: str) -> None:
    """Both sides are read, and their SHA-256 compared."""
    one, other, _, _ = TABLE[case]
    same = decided(one, other, Rules(read=True))
    assert (same.verdict, same.evidence) == (EQUAL, Evidence.BYTES)
    differing = decided(one, other, Rules(read=True), (BODY, OTHER))
    assert (differing.verdict, differing.evidence) in (
        (DIFFERENT, Evidence.BYTES),
        (DIFFERENT, Evidence.COMPUTED_CHECKSUM),  # the object's own checksum contradicts its bytes
    )


def test_sizes_come_first() -> None:
    """Two sizes differ whatever else is told; two empty sides are equal without more."""
    other = Known(kind="file", size_bytes=1)
    assert next_step(stored(), other, Rules()) == Decided(
        DIFFERENT, Evidence.SIZE, f"the sizes differ: {len(BODY)} and 1 bytes"
    )
    empty = Known(kind="object", size_bytes=0)
    assert next_step(empty, empty, Rules(read_all=True)) == Decided(EQUAL, Evidence.SIZE)
    assert next_step(stored(etag=plain(BODY)), stored(etag=plain(OTHER)), Rules("size")) == Decided(
        EQUAL, Evidence.SIZE
    )


def test_etags_alone() -> None:
    """Stored checksums count for nothing where only ETags are asked for."""
    one, other = stored(checksum=full(BODY), etag=plain(BODY)), stored(checksum=full(OTHER), etag=plain(BODY))
    assert decided(one, other, Rules("etag")).evidence is Evidence.MD5
    assert decided(FILE, one, Rules("etag")).evidence is Evidence.MD5


def test_everything_is_read_where_nothing_is_believed() -> None:
    """With ``read_all`` equal checksums decide nothing, and an object's bytes must have its own checksum."""
    one, other = stored(checksum=full(BODY)), stored(checksum=full(BODY))
    step = next_step(one, other, Rules(read_all=True))
    assert step == Read((0, 1), ("SHA256", "CRC64NVME"))
    damaged = decided(one, other, Rules(read_all=True), (BODY, OTHER))
    assert (damaged.verdict, damaged.evidence) == (DIFFERENT, Evidence.COMPUTED_CHECKSUM)
    assert "the checksum stored with it" in damaged.reason
    assert decided(one, other, Rules(read_all=True)).evidence is Evidence.BYTES


def test_parts_are_asked_for_where_they_help() -> None:
    """Of a composite checksum against a file, another composite or a whole one; never of a record or for nothing."""
    composite = stored(checksum=in_parts(BODY))
    assert next_step(FILE, composite, Rules()) == AskParts((1,))
    assert next_step(composite, stored(checksum=in_parts(OTHER)), Rules()) == AskParts((0, 1))
    assert next_step(stored(checksum=full(BODY, "CRC32")), composite, Rules()) == AskParts((1,))
    assert isinstance(next_step(stored(checksum=full(BODY)), composite, Rules()), Decided)
    assert next_step(FILE, stored(etag=multipart(BODY)), Rules()) == AskParts((1,))
    record = Known(kind="record", size_bytes=len(BODY), checksum=in_parts(BODY))
    assert isinstance(decided(record, stored(etag=plain(BODY))), Decided)


def test_a_record_is_compared_with_what_can_be_read() -> None:
    """A file is read for what the record has; an object only if reading is allowed."""
    record = Known(kind="record", size_bytes=len(BODY), digests={"SHA256": full(BODY, "SHA256").value})
    assert decided(FILE, record).verdict is EQUAL
    assert decided(FILE, record, bodies=(OTHER, b"")).verdict is DIFFERENT
    assert decided(stored(checksum=full(BODY)), record).verdict is UNDECIDABLE
    assert decided(stored(checksum=full(BODY)), record, Rules(read=True)).verdict is EQUAL
    assert decided(stored(), record, Rules(read_all=True), (OTHER, b"")).verdict is DIFFERENT


def test_etags_of_directory_buckets() -> None:
    """They look like MD5s and are none, so they are no evidence."""
    engine: Any = None
    assert _evident(StoredSide(engine, "name--use1-az4--x-s3", "", ""), plain(BODY)) == ""
    assert _evident(StoredSide(engine, "name", "", ""), plain(BODY)) == plain(BODY)


def test_parts_are_folded() -> None:
    """The CRC32s of the parts make that of all bytes; parts that do not make up the object make none."""
    known = stored(checksum=in_parts(BODY))
    assert _folded(known, parts_of(BODY)) == full(BODY, "CRC32")
    assert _folded(known, parts_of(BODY)[:-1]) is None
    assert _folded(stored(checksum=full(BODY)), parts_of(BODY)) is None


@pytest.mark.parametrize("step", [1, 7, 999, 1000, 1001, 5000])
def test_digests_of_pieces(step: int) -> None:
    """Whatever the pieces, all checksums of one pass are those of the bytes and of the parts."""
    running = Digests(("SHA256", "CRC32"), (Composite("MD5", CUTS), Composite("CRC32", OTHER_CUTS)))
    for start in range(0, len(BODY), step):
        running.update(memoryview(BODY[start : start + step]))
    assert running.digests() == {"SHA256": full(BODY, "SHA256").value, "CRC32": crc32(BODY)}
    md5, crc = running.composites().values()
    assert f'"{base64.b64decode(md5).hex()}-3"' == multipart(BODY)
    assert crc == in_parts(BODY, OTHER_CUTS).value.removesuffix("-2")


@pytest.mark.parametrize(
    ("size_bytes", "part_bytes"),
    [
        (12 * MIB, 5 * MIB),
        (100 * MIB, 8 * MIB),
        (100 * MIB, 15 * MIB),
        (100 * MIB + 1, 16 * MIB),
        (300 * MIB, 25 * MIB),
        (300 * MIB, 32 * MIB),
        (512 * MIB, 50 * MIB),
        (512 * MIB, 64 * MIB),
        (1000 * MIB, 100 * MIB),
        (50_000_000, 8_000_000),
        (200 * 1024**3, 21 * MIB),  # 10,000 parts at most, in whole MiB
    ],
)
def test_usual_lengths_are_tried(size_bytes: int, part_bytes: int) -> None:
    """The real cut is among those that are tried, each of them gives the number of parts, and they are not many."""
    ends = (*range(part_bytes, size_bytes, part_bytes), size_bytes)
    found = possible_parts(size_bytes, len(ends))
    assert ends in found
    assert all(len(one) == len(ends) and one[-1] == size_bytes for one in found)
    assert len(found) <= 12


def test_an_asked_length_is_tried_alone() -> None:
    """It is believed if it fits, and left aside if it does not."""
    assert possible_parts(2560, 3, asked_bytes=1000) == ((1000, 2000, 2560),)
    assert (1000, 2000, 2560) not in possible_parts(2560, 2, asked_bytes=1000)
    assert possible_parts(2, 3) == ()
    found = decided(FILE, stored(etag=multipart(BODY)), Rules(part_size_bytes=1000))
    assert found.evidence is Evidence.MULTIPART_ETAG


def test_streams_of_ours() -> None:
    """The growing parts of a piped upload are tried: 8 MiB each at first."""
    ends = (8 * MIB, 16 * MIB, 20 * MIB)
    assert ends in possible_parts(20 * MIB, 3)


def test_rules_of_the_command_line() -> None:
    """A list names one level and what else is compared."""
    assert parse_rules("checksum") == (Rules(), frozenset())
    assert parse_rules("etag,tags,metadata", read=True) == (Rules("etag", read=True), frozenset({"tags", "metadata"}))
    for wrong in ("mtime", "", "size,etag"):
        with pytest.raises(UsageError):
            parse_rules(wrong)
    with pytest.raises(UsageError):
        parse_rules("size", read=True)
