"""What is checked of an object, and what a success then means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.objects import Checksum, ChecksumKind, Integrity, ObjectHead, PartChecksum, Verify
from bulkhaul.policy.verification import CheckPlan, Proof, compare, needs_parts, plain_md5, plan_checks, uniform_parts

COMPUTABLE = frozenset({"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"})
MD5 = "9e107d9d372bb6826bd81d3542a419d6"
FULL = Checksum("CRC32C", "yZRlqg==")
PARTS = (PartChecksum(5, "AAAAAQ=="), PartChecksum(4, "AAAAAg=="))
COMPOSITE = Checksum("CRC32", "DUoRhQ==-2", ChecksumKind.COMPOSITE)


def of(**fields: object) -> ObjectHead:
    """Return an object of 9 bytes with a multipart-style ETag."""
    return ObjectHead(**{"key": "k", "size": 9, "etag": f'"{MD5}-2"', **fields})  # type: ignore[arg-type]


def test_a_stored_checksum_of_the_object_is_checked() -> None:
    """A full-object checksum makes success mean ``checksum``, and needs no boundaries."""
    plan = plan_checks(of(checksum=FULL), Verify.AUTO, computable=COMPUTABLE)
    assert plan == CheckPlan(stored=FULL, integrity=Integrity.CHECKSUM)
    assert plan.folded == "CRC32C"


@pytest.mark.parametrize(
    ("algorithm", "folded"),
    [("CRC32", True), ("CRC32C", True), ("CRC64NVME", True), ("SHA256", False), ("SHA1", False)],
)
def test_only_crcs_are_folded_from_parts(algorithm: str, folded: bool) -> None:
    """Hashes cannot be combined, so the file is read for them instead."""
    plan = plan_checks(of(checksum=Checksum(algorithm, "x")), Verify.AUTO, computable=COMPUTABLE)
    assert plan.folded == (algorithm if folded else "")
    assert plan.stored is not None


@pytest.mark.parametrize(("etag", "integrity"), [(f'"{MD5}-2"', Integrity.ETAG), ("", Integrity.LENGTH)])
@pytest.mark.parametrize("checksum", [None, Checksum("XXHASH64", "x")])
def test_without_a_usable_checksum_the_result_says_so(
    etag: str, integrity: Integrity, checksum: Checksum | None
) -> None:
    """No checksum, or one that cannot be computed here: the level falls to ``etag``, or ``length`` without one."""
    plan = plan_checks(of(etag=etag, checksum=checksum), Verify.AUTO, computable=COMPUTABLE)
    assert plan == CheckPlan(integrity=integrity)


@pytest.mark.parametrize("checksum", [None, FULL, COMPOSITE])
def test_verify_none_checks_nothing_and_claims_nothing(checksum: Checksum | None) -> None:
    """Switched off, even a checksum that is there leaves the level at what replies show."""
    info = of(etag=f'"{MD5}"', checksum=checksum)
    assert plan_checks(info, Verify.NONE, computable=COMPUTABLE, parts=PARTS) == CheckPlan(integrity=Integrity.ETAG)
    assert not needs_parts(info, Verify.NONE, computable=COMPUTABLE)


# Composite checksums


@pytest.mark.parametrize(
    ("checksum", "expected"),
    [(COMPOSITE, True), (FULL, False), (None, False), (Checksum("XXHASH3", "x-2", ChecksumKind.COMPOSITE), False)],
)
def test_part_sizes_are_asked_for_only_where_they_are_needed(checksum: Checksum | None, expected: bool) -> None:
    """Only a composite checksum that can be computed is worth another request."""
    for verify in (Verify.AUTO, Verify.FULL):
        assert needs_parts(of(checksum=checksum), verify, computable=COMPUTABLE) is expected


def test_a_composite_checksum_is_checked_by_the_uploaded_parts() -> None:
    """The layout must cut where they begin, and each one's value is kept."""
    plan = plan_checks(of(checksum=COMPOSITE), Verify.AUTO, computable=COMPUTABLE, parts=PARTS)
    assert plan == CheckPlan(COMPOSITE, (0, 5), ("AAAAAQ==", "AAAAAg=="), "", Integrity.CHECKSUM)


def test_values_of_parts_are_used_only_if_all_are_known() -> None:
    """Where the service tells sizes alone, the checksum of checksums still covers every byte."""
    parts = (PartChecksum(5, "AAAAAQ=="), PartChecksum(4))
    plan = plan_checks(of(checksum=COMPOSITE), Verify.AUTO, computable=COMPUTABLE, parts=parts)
    assert (plan.boundaries, plan.part_values, plan.integrity) == ((0, 5), (), Integrity.CHECKSUM)


@pytest.mark.parametrize("parts", [(), (PartChecksum(5),), (PartChecksum(5), PartChecksum(5))])
def test_a_composite_checksum_without_fitting_parts_is_not_claimed(parts: tuple[PartChecksum, ...]) -> None:
    """Parts that do not add up to the object cannot be checked: the level falls to ``etag``, nothing is guessed."""
    plan = plan_checks(of(checksum=COMPOSITE), Verify.AUTO, computable=COMPUTABLE, parts=parts)
    assert plan == CheckPlan(integrity=Integrity.ETAG)


UNKNOWN = Checksum("CRC32", "DUoRhQ==", ChecksumKind.UNKNOWN)


@pytest.mark.parametrize(("parts", "boundaries"), [(PARTS, (0, 5)), ((), ()), ((PartChecksum(5),), ())])
def test_a_checksum_of_unknown_kind_is_tried_as_both(
    parts: tuple[PartChecksum, ...], boundaries: tuple[int, ...]
) -> None:
    """The parts are asked for; without them it may still be the one of the whole object."""
    assert needs_parts(of(checksum=UNKNOWN), Verify.AUTO, computable=COMPUTABLE)
    plan = plan_checks(of(checksum=UNKNOWN), Verify.AUTO, computable=COMPUTABLE, parts=parts)
    assert (plan.stored, plan.boundaries) == (UNKNOWN, boundaries)


# MD5


@pytest.mark.parametrize("encryption", ["", "AES256"])
def test_full_verification_also_checks_a_plain_md5(encryption: str) -> None:
    """In the clear or with SSE-S3 a 32-digit ETag is the MD5 (S3 API, Object.ETag)."""
    info = of(etag=f'"{MD5}"', encryption=encryption, checksum=FULL)
    plan = plan_checks(info, Verify.FULL, computable=COMPUTABLE)
    assert (plan.md5_hex, plan.stored, plan.integrity) == (MD5, FULL, Integrity.CHECKSUM)
    assert plan_checks(info, Verify.AUTO, computable=COMPUTABLE).md5_hex == ""


@pytest.mark.parametrize("encryption", ["aws:kms", "aws:kms:dsse", "SSE-C", "something-new"])
def test_an_encrypted_objects_etag_is_never_taken_for_an_md5(encryption: str) -> None:
    """With KMS or a customer's key a 32-digit ETag is no MD5: checking it would fail on good bytes."""
    plan = plan_checks(of(etag=f'"{MD5}"', encryption=encryption), Verify.FULL, computable=COMPUTABLE)
    assert plan == CheckPlan(integrity=Integrity.ETAG)


@pytest.mark.parametrize(
    ("etag", "md5"),
    [
        (f'"{MD5}"', MD5),
        (f'"{MD5}-2"', ""),
        (f'W/"{MD5}"', ""),
        (f'"{MD5[:-1]}"', ""),
        (f'"{MD5}0"', ""),
        (f'"{MD5[:-1]}g"', ""),
        (f'"{MD5}"\n', ""),
        ("", ""),
    ],
)
def test_only_thirty_two_hex_digits_can_be_an_md5(etag: str, md5: str) -> None:
    """Multipart ETags, weak ones and other shapes are opaque."""
    assert plain_md5(etag) == md5


# Part sizes that are not told


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_uniform_parts_add_up(size_bytes: int, first_part_bytes: int) -> None:
    """With the count that the first part implies, the parts are equal but for a shorter last one, and add up."""
    count = min(-(-size_bytes // first_part_bytes), 10_000)
    parts = uniform_parts(size_bytes, first_part_bytes, count)
    if count * first_part_bytes < size_bytes:
        assert parts == ()
        return
    sizes = [part.size_bytes for part in parts]
    assert len(sizes) == count
    assert sum(sizes) == size_bytes
    assert all(size == first_part_bytes for size in sizes[:-1])
    assert 0 < sizes[-1] <= first_part_bytes


@pytest.mark.parametrize(
    ("size", "first", "count"), [(25, 10, 2), (25, 10, 4), (25, 0, 1), (25, -5, 3), (0, 10, 0), (0, 10, 1)]
)
def test_parts_that_cannot_be_uniform_are_not_guessed(size: int, first: int, count: int) -> None:
    """A count that does not fit the first part's size says that the parts differ; nothing is returned."""
    assert uniform_parts(size, first, count) == ()


@pytest.mark.parametrize(
    ("kind", "whole", "composite", "parts_match", "proof"),
    [
        (ChecksumKind.FULL_OBJECT, "AA==", "", True, Proof.PROVEN),
        (ChecksumKind.FULL_OBJECT, "BB==", "", True, Proof.REFUTED),
        (ChecksumKind.COMPOSITE, "BB==", "AA==-2", True, Proof.PROVEN),
        (ChecksumKind.COMPOSITE, "AA==", "BB==-2", True, Proof.REFUTED),
        (ChecksumKind.COMPOSITE, "BB==", "AA==-2", False, Proof.REFUTED),
        (ChecksumKind.UNKNOWN, "AA==", "BB==-2", False, Proof.PROVEN),
        (ChecksumKind.UNKNOWN, "BB==", "AA==-2", True, Proof.PROVEN),
        (ChecksumKind.UNKNOWN, "BB==", "CC==-2", True, Proof.UNPROVEN),
        (ChecksumKind.UNKNOWN, "BB==", "CC==-2", False, Proof.REFUTED),
    ],
)
def test_what_a_comparison_proves(
    kind: ChecksumKind, whole: str, composite: str, parts_match: bool, proof: Proof
) -> None:
    """A checksum of known kind proves or refutes; one of unknown kind refutes only by the parts' own checksums."""
    stored = Checksum("CRC32", "AA==", kind)
    assert compare(stored, whole=whole, composite=composite, parts_match=parts_match) is proof
