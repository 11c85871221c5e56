"""Decides whether two sides have the same bytes: from what is known of them, or what to find out next.

sizes ─▶ checksums of all bytes ─▶ checksums of parts ─▶ plain MD5s ─▶ ETags of parts ─▶ bytes ─▶ undecidable
                 ╰─ of a file, and where asked for of an object: computed by reading it once

What proves that two sides differ is believed wherever it comes up. Two ETags of uploads in parts that differ prove
nothing, as the parts may have been others.
"""

from __future__ import annotations

import base64
import re
from itertools import accumulate
from typing import Literal

import msgspec

from bulkhaul.model.objects import Checksum, ChecksumKind, PartChecksum
from bulkhaul.model.verdicts import Evidence, Verdict
from bulkhaul.policy.comparison import plain_md5
from bulkhaul.policy.partsizes import Ends, possible_parts
from bulkhaul.policy.verification import FOLDABLE
from bulkhaul.policy.verify_rules import Rules

READ_DIGEST = "SHA256"
"""What two sides that are both read are compared by."""

_PARTS_ETAG = re.compile(r'"?([0-9a-f]{32}-([0-9]{1,5}))"?')
_COMPUTABLE = FOLDABLE | {"SHA1", "SHA256", "SHA512", "MD5"}
_STRONGEST = ("SHA512", "SHA256", "SHA1", "MD5", "CRC64NVME", "CRC32C", "CRC32")

NOT_MD5 = frozenset({"aws:kms", "aws:kms:dsse", "SSE-C"})
"""Encryptions with which an ETag is no MD5 of the bytes. Source: S3 API, Object, "ETag"."""


class Composite(msgspec.Struct, frozen=True):
    """The checksum of the checksums of parts, which end at ``ends``."""

    algorithm: str
    ends: Ends


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one side.

    Attributes:
        kind: ``record``: only what somebody once wrote down, so nothing more can be found out.
        parts: as its service tells them, None where it was not asked.
        folded: the checksum of all bytes, computed from the stored ones of its parts.
        digests: computed of all its bytes, base64 by algorithm.
        composites: computed of its parts, base64.
        read: what was computed is all that was wanted.
    """

    kind: Literal["object", "file", "record"]
    size_bytes: int
    etag: str = ""
    encryption: str = ""
    checksum: Checksum | None = None
    parts: tuple[PartChecksum, ...] | None = None
    folded: Checksum | None = None
    digests: dict[str, str] = {}
    composites: dict[Composite, str] = {}
    read: bool = False


class Decided(msgspec.Struct, frozen=True):
    """The verdict, what it rests on, and why it is not equal."""

    verdict: Verdict
    evidence: Evidence | None = None
    reason: str = ""


class AskParts(msgspec.Struct, frozen=True):
    """Ask the services of these sides (0, 1) which parts their objects were uploaded in."""

    sides: tuple[int, ...]


class Read(msgspec.Struct, frozen=True):
    """Read these sides (0, 1) through, and compute all of these on the way."""

    sides: tuple[int, ...]
    digests: tuple[str, ...] = ()
    composites: tuple[Composite, ...] = ()


Step = Decided | AskParts | Read


def next_step(one: Known, other: Known, rules: Rules) -> Step:
    """Return the verdict on two sides, or what to find out before there can be one."""
    if one.size_bytes != other.size_bytes:
        text = f"the sizes differ: {one.size_bytes} and {other.size_bytes} bytes"
        return Decided(Verdict.DIFFERENT, Evidence.SIZE, text)
    for side in (one, other):
        if reason := _broken_promise(side):
            return Decided(Verdict.DIFFERENT, Evidence.COMPUTED_CHECKSUM, reason)
    if rules.level == "size" or not one.size_bytes:
        return Decided(Verdict.EQUAL, Evidence.SIZE)
    both = (one, other)
    step: Step | None
    if rules.read_all and (step := _to_read_through(both)) is not None:
        return step
    if (found := _by_whole(one, other, rules)) is not None:
        return _unless_refuted(found, one, other)
    if rules.level == "checksum" and (step := _by_parts(both)) is not None:
        return step
    if (found := _by_md5(one, other)) is not None:
        return found
    if (step := _to_compute(both, rules)) is not None:
        return step
    if (found := _by_etag(one, other)) is not None:
        return found
    if rules.read and (step := _to_read_through(both)) is not None:
        return step
    return Decided(Verdict.UNDECIDABLE, None, _why_not(one, other, rules))


# Checksums of all bytes


def _broken_promise(side: Known) -> str:
    """Return how the bytes that were read contradict what their own service stores; empty if they do not."""
    stored = side.checksum
    if side.kind != "object" or stored is None or stored.kind is not ChecksumKind.FULL_OBJECT:
        return ""
    computed = side.digests.get(stored.algorithm)
    if computed is None or computed == stored.value:
        return ""
    return (
        f"an object's bytes have the {stored.algorithm} {computed}, and the checksum stored with it is {stored.value}"
    )


def _whole(side: Known, rules: Rules) -> dict[str, tuple[str, Evidence]]:
    """Return the checksums of all bytes by algorithm, and what each of them rests on."""
    found: dict[str, tuple[str, Evidence]] = {}
    if rules.level == "checksum":
        for one, evidence in ((side.folded, Evidence.FOLDED_CHECKSUM), (side.checksum, Evidence.STORED_CHECKSUM)):
            if one is not None and one.kind is ChecksumKind.FULL_OBJECT:
                found[one.algorithm] = (one.value, evidence)
    for algorithm, value in side.digests.items():
        found[algorithm] = (value, Evidence.COMPUTED_CHECKSUM)
    return found


def _by_whole(one: Known, other: Known, rules: Rules) -> Decided | None:
    ours, theirs = _whole(one, rules), _whole(other, rules)
    common = sorted(ours.keys() & theirs.keys() & set(_STRONGEST), key=_STRONGEST.index)
    for algorithm in common:
        if ours[algorithm][0] != theirs[algorithm][0]:
            evidence = _weaker(algorithm, ours[algorithm][1], theirs[algorithm][1])
            text = f"the {algorithm} differs: {ours[algorithm][0]} and {theirs[algorithm][0]}"
            return Decided(Verdict.DIFFERENT, evidence, text)
    if not common:
        return None
    algorithm = common[0]
    return Decided(Verdict.EQUAL, _weaker(algorithm, ours[algorithm][1], theirs[algorithm][1]))


def _weaker(algorithm: str, one: Evidence, other: Evidence) -> Evidence:
    both = {one, other}
    if both == {Evidence.COMPUTED_CHECKSUM}:
        return Evidence.BYTES if algorithm == READ_DIGEST else Evidence.COMPUTED_CHECKSUM
    for evidence in (Evidence.COMPUTED_CHECKSUM, Evidence.FOLDED_CHECKSUM):
        if evidence in both:
            return evidence
    return Evidence.STORED_CHECKSUM


# Checksums of parts


def _in_parts(side: Known) -> Checksum | None:
    """Return the stored checksum that covers, or may cover, the checksums of parts."""
    stored = side.checksum
    known = stored is not None and stored.kind is not ChecksumKind.FULL_OBJECT and stored.algorithm in _COMPUTABLE
    return stored if known else None


def _by_parts(both: tuple[Known, Known]) -> Step | None:
    ours, theirs = _in_parts(both[0]), _in_parts(both[1])
    askable = tuple(
        i for i in (0, 1) if both[i].kind == "object" and both[i].parts is None and _in_parts(both[i]) is not None
    )
    if ours is not None and theirs is not None and ours.algorithm == theirs.algorithm and ours.kind is theirs.kind:
        if ours.value == theirs.value:
            return Decided(Verdict.EQUAL, Evidence.COMPOSITE_CHECKSUM)
        if askable:
            return AskParts(askable)
        mine, yours = both[0].parts or (), both[1].parts or ()
        if _exact(both[0]) and _exact(both[1]) and [p.size_bytes for p in mine] == [p.size_bytes for p in yours]:
            text = f"the {ours.algorithm} of the parts differs: {ours.value} and {theirs.value}"
            return Decided(Verdict.DIFFERENT, Evidence.COMPOSITE_CHECKSUM, text)
        return None
    if not askable:
        return _by_computed_parts(*both) or _by_computed_parts(both[1], both[0])
    # Those of the parts of one side may give that of all its bytes, which the other one has.
    for i in askable:
        other = both[1 - i]
        stored = _in_parts(both[i])
        assert stored is not None
        comparable = other.checksum is not None and other.checksum.algorithm == stored.algorithm
        if other.kind == "file" or stored.algorithm in other.digests or (comparable and stored.algorithm in FOLDABLE):
            return AskParts((i,))
    return None


def _by_computed_parts(side: Known, other: Known) -> Decided | None:
    """Compare a stored checksum of parts with what was computed of the same parts of the other side."""
    stored = _in_parts(side)
    ends = _told_ends(side)
    if stored is None or not ends or not other.composites:
        return None
    computed = other.composites.get(Composite(stored.algorithm, ends))
    if computed is None:
        return None
    if computed == stored.value.partition("-")[0]:  # some stores leave the number of parts out
        return Decided(Verdict.EQUAL, Evidence.COMPUTED_CHECKSUM)
    if stored.kind is ChecksumKind.UNKNOWN and other.digests.get(stored.algorithm) == stored.value:
        return Decided(Verdict.EQUAL, Evidence.COMPUTED_CHECKSUM)
    if stored.kind is ChecksumKind.COMPOSITE and _exact(side):
        text = f"the {stored.algorithm} of the parts differs: {stored.value} and {computed}"
        return Decided(Verdict.DIFFERENT, Evidence.COMPUTED_CHECKSUM, text)
    return None


def _exact(side: Known) -> bool:
    """Whether the service told each part, with its checksum: it did not let its length be guessed from the first."""
    return bool(side.parts) and all(part.value for part in side.parts or ())


def _told_ends(side: Known) -> Ends:
    """Return where the parts end that the service tells, empty if they do not make up the object."""
    sizes = [part.size_bytes for part in side.parts or ()]
    return tuple(accumulate(sizes)) if sizes and all(sizes) and sum(sizes) == side.size_bytes else ()


# ETags


def _trusted(side: Known) -> bool:
    return side.encryption not in NOT_MD5


def _md5_hex(side: Known) -> str:
    """Return the MD5 of all bytes, empty where nobody tells it."""
    if computed := side.digests.get("MD5"):
        return base64.b64decode(computed).hex()
    return plain_md5(side.etag) if _trusted(side) else ""


def _by_md5(one: Known, other: Known) -> Decided | None:
    ours, theirs = _md5_hex(one), _md5_hex(other)
    if not ours or not theirs:
        return None
    if ours == theirs:
        return Decided(Verdict.EQUAL, Evidence.MD5)
    return Decided(Verdict.DIFFERENT, Evidence.MD5, f"the MD5 differs: {ours} and {theirs}")


def _unless_refuted(found: Decided, one: Known, other: Known) -> Decided:
    """Return a verdict that checksums gave, unless the MD5s that are known anyway contradict it."""
    md5 = _by_md5(one, other)
    if found.verdict is Verdict.EQUAL and md5 is not None and md5.verdict is Verdict.DIFFERENT:
        return msgspec.structs.replace(md5, reason=f"{md5.reason}, though the checksums are equal")
    return found


def _parts_etag(side: Known) -> tuple[str, int]:
    """Return the ETag of an upload in parts without its quotes, and their number; empty for any other."""
    found = _PARTS_ETAG.fullmatch(side.etag) if _trusted(side) else None
    return (found[1], int(found[2])) if found else ("", 0)


def _etag_composites(side: Known, rules: Rules) -> tuple[Composite, ...]:
    _, count = _parts_etag(side)
    if not count:
        return ()
    told = _told_ends(side)
    if told and len(told) == count:
        return (Composite("MD5", told),)
    return tuple(
        Composite("MD5", ends) for ends in possible_parts(side.size_bytes, count, asked_bytes=rules.part_size_bytes)
    )


def _by_etag(one: Known, other: Known) -> Decided | None:
    (ours, count), (theirs, _) = _parts_etag(one), _parts_etag(other)
    if ours and ours == theirs:
        return Decided(Verdict.EQUAL, Evidence.ETAG)
    for side, etag, reader in ((one, ours, other), (other, theirs, one)):
        computed = {c: v for c, v in reader.composites.items() if c.algorithm == "MD5"}
        if not etag or not computed:
            continue
        if any(f"{base64.b64decode(v).hex()}-{len(c.ends)}" == etag for c, v in computed.items()):
            return Decided(Verdict.EQUAL, Evidence.MULTIPART_ETAG)
        told = _told_ends(side)
        if _exact(side) and Composite("MD5", told) in computed and len(told) == _parts_etag(side)[1]:
            return Decided(Verdict.DIFFERENT, Evidence.MULTIPART_ETAG, f"the ETag of the same parts is not {etag}")
    if ours and theirs and _exact(one) and _exact(other) and _told_ends(one) == _told_ends(other) and count:
        return Decided(
            Verdict.DIFFERENT, Evidence.MULTIPART_ETAG, f"the ETags of the same parts differ: {ours}, {theirs}"
        )
    return None


# Reading


def _to_compute(both: tuple[Known, Known], rules: Rules) -> Step | None:
    """Return what to compute of a side that is a file, or once was written down, and was not read yet."""
    files = tuple(i for i in (0, 1) if both[i].kind == "file")
    if len(files) == 2:
        return _to_read_through(both)
    for i in (0, 1):
        reader, other = both[i], both[1 - i]
        if reader.read or not (reader.kind == "file" or (reader.kind == "object" and rules.read)):
            continue
        if reader.kind == "object" and other.kind != "record":
            continue  # two objects, or a file that is read: see above
        if other.kind == "object" and other.parts is None and _parts_etag(other)[1] and not _whole(other, rules):
            return AskParts((1 - i,))
        step = _wanted(other, rules)
        if step.digests or step.composites:
            return msgspec.structs.replace(step, sides=(i,))
    return None


def _wanted(other: Known, rules: Rules) -> Read:
    """Return what to compute of a side so that it can be compared with this one, up to the first thing that decides."""
    whole = sorted(_whole(other, rules).keys() & _COMPUTABLE, key=_STRONGEST.index)
    if whole:
        return Read((), (whole[0],))
    digests: list[str] = []
    composites: list[Composite] = []
    stored, told = _in_parts(other), _told_ends(other)
    if rules.level == "checksum" and stored is not None and told:
        composites.append(Composite(stored.algorithm, told))
        if stored.kind is ChecksumKind.COMPOSITE and _exact(other):
            return Read((), (), tuple(composites))
    if stored is not None and stored.kind is ChecksumKind.UNKNOWN:
        digests.append(stored.algorithm)
    if _md5_hex(other):
        digests.append("MD5")
    composites += _etag_composites(other, rules)
    return Read((), tuple(digests), tuple(composites))


def _to_read_through(both: tuple[Known, Known]) -> Read | None:
    """Return the reading of all sides that can be read and were not, by a digest that both will then have."""
    if any(side.kind == "record" and READ_DIGEST not in side.digests for side in both):
        return None
    unread = tuple(i for i in (0, 1) if READ_DIGEST not in both[i].digests)
    if not unread:
        return None
    own = {
        side.checksum.algorithm
        for i, side in enumerate(both)
        if i in unread and side.checksum is not None and side.checksum.kind is ChecksumKind.FULL_OBJECT
    }
    return Read(unread, (READ_DIGEST, *sorted((own & _COMPUTABLE) - {READ_DIGEST})))


# Words


def _why_not(one: Known, other: Known, rules: Rules) -> str:
    """Return why nothing decides, and what would."""
    compared = "ETags" if rules.level == "etag" else "checksums and ETags"
    if any(side.composites for side in (one, other)):
        text = "no usual length of parts gives the ETag, so the parts may be others, or the bytes"
        return f"{text}; --part-size, if it is known, or --read would decide"
    encrypted = [side.encryption for side in (one, other) if not _trusted(side) and side.kind != "file"]
    if encrypted:
        why = f"with {encrypted[0]} an ETag is no MD5, and there are no other checksums that both have"
    elif _parts_etag(one)[0] and _parts_etag(other)[0]:
        why = "the ETags are of uploads in parts and differ: the parts may be others, or the bytes"
    else:
        why = f"the two sides have no {compared} that can be compared"
    return f"{why}; --read would decide"
