"""The parts of an object are asked for twice, in two ways: an answer to the first that is none is no failure."""

from __future__ import annotations

import pytest

from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectHead
from bulkhaul.wire.sdk.object_attributes import part_checksums
from tests.unit.canned import Canned

OF_PARTS = ObjectHead("k", 9, '"e-2"', checksum=Checksum("CRC32", "AAAAAA==-2", ChecksumKind.COMPOSITE))


def attributes(*parts: str, more: str = "<IsTruncated>false</IsTruncated>") -> str:
    """Return an answer to the first way."""
    items = "".join(f"<Part>{part}</Part>" for part in parts)
    return f"<GetObjectAttributesResponse><ObjectParts>{more}{items}</ObjectParts></GetObjectAttributesResponse>"


def test_parts_are_what_the_answer_tells() -> None:
    """Sizes and checksums, with one request."""
    told = [f"<PartNumber>{n}</PartNumber><Size>{n}</Size><ChecksumCRC32>AAA=</ChecksumCRC32>" for n in (4, 5)]
    canned = Canned((200, attributes(*told)))
    assert [(part.size_bytes, part.value) for part in part_checksums(canned.sdk, "b", OF_PARTS)] == [
        (4, "AAA="),
        (5, "AAA="),
    ]
    assert len(canned.sent) == 1


@pytest.mark.parametrize(
    "body",
    [
        attributes("<Size>5</Size>", "<Size>4</Size>"),
        attributes("<PartNumber>1</PartNumber>", "<PartNumber>2</PartNumber><Size>9</Size>"),
        attributes("<PartNumber>2</PartNumber><Size>9</Size>", "<PartNumber>1</PartNumber><Size>0</Size>"),
        attributes("<PartNumber>1</PartNumber><Size>-9</Size>"),
        attributes(more="<IsTruncated>true</IsTruncated>"),
        attributes(more="<IsTruncated>perhaps</IsTruncated>"),
    ],
    ids=["no numbers", "no size", "out of order", "negative", "on to nowhere", "no boolean"],
)
def test_an_answer_that_is_none_is_passed_over(body: str) -> None:
    """Nothing of it is believed, and the object can be had all the same: HEAD of the first part tells the sizes."""
    canned = Canned((200, body), (200, ""), headers={"Content-Length": "5"})
    assert [part.size_bytes for part in part_checksums(canned.sdk, "b", OF_PARTS)] == [5, 4]
    assert [one.method for one in canned.sent] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("etag", "first_bytes", "sizes"),
    [
        ('"e-2"', "5", [5, 4]),
        ('"e-3"', "5", []),  # two parts of five would do: the others are not of that length
        ('"e-2"', "9", []),  # the whole object, by a server that knows no parts
        ('"e-' + "9" * 300 + '"', "5", []),
        ('"e-x"', "5", [5, 4]),
    ],
)
def test_without_a_checksum_only_the_first_part_is_asked_for(etag: str, first_bytes: str, sizes: list[int]) -> None:
    """Its length and the number in the ETag must fit the object."""
    canned = Canned((200, ""), headers={"Content-Length": first_bytes})
    assert [part.size_bytes for part in part_checksums(canned.sdk, "b", ObjectHead("k", 9, etag))] == sizes
    assert [(one.method, one.query) for one in canned.sent] == [("HEAD", {"partNumber": "1"})]
