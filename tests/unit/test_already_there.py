"""What proves that an object is the one that would be stored: never its name and length alone."""

from __future__ import annotations

import pytest

from bulkhaul.model.objects import Checksum, ChecksumKind, Content, ObjectHead
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.already_there import as_stored, holds_no_more, keeps_alike, proof_of_file, same_copy

MD5 = "9e107d9d372bb6826bd81d3542a419d6"
HEAD = ObjectHead("k", 5, f'"{MD5}"')


@pytest.mark.parametrize(
    ("source", "stored", "same"),
    [
        (f'"{MD5}"', f'"{MD5}"', True),
        (MD5, f'"{MD5}"', True),
        ("", "", False),
        ("", f'"{MD5}"', False),
        (f'W/"{MD5}"', f'W/"{MD5}"', False),
        (f'"{MD5}-2"', f'"{MD5}"', False),
    ],
)
def test_a_copy_is_known_by_its_etag(source: str, stored: str, same: bool) -> None:
    """Equal strong ETags are equal bytes; an ETag that is unknown, weak or another one proves nothing."""
    assert same_copy(source, ObjectHead("k", 5, stored)) is same


@pytest.mark.parametrize(
    ("head", "proof"),
    [
        (HEAD, Checksum("MD5", MD5)),
        (ObjectHead("k", 5, f'"{MD5}"', encryption="AES256"), Checksum("MD5", MD5)),
        (ObjectHead("k", 5, f'"{MD5}"', encryption="aws:kms"), None),
        (ObjectHead("k", 5, f'"{MD5}-3"'), None),
        (ObjectHead("k", 5, f'"{MD5}-3"', checksum=Checksum("CRC32", "AAAAAA==")), Checksum("CRC32", "AAAAAA==")),
        (ObjectHead("k", 5, "", checksum=Checksum("CRC32", "AA==-3", ChecksumKind.COMPOSITE)), None),
        (ObjectHead("k", 5, "", checksum=Checksum("XXH3", "AAAA")), None),
        (ObjectHead("k", 5), None),
    ],
)
def test_a_file_is_known_by_its_checksum(head: ObjectHead, proof: Checksum | None) -> None:
    """A checksum of all bytes, or an ETag that is an MD5, proves it; everything else does not."""
    assert proof_of_file(head, computable=frozenset({"CRC32", "MD5"})) == proof


@pytest.mark.parametrize(
    ("options", "head", "same"),
    [
        (None, HEAD, True),
        (ObjectOptions(), HEAD, True),
        (ObjectOptions(storage_class="GLACIER"), HEAD, False),
        (ObjectOptions(storage_class="STANDARD"), HEAD, True),
        (ObjectOptions(storage_class="STANDARD"), ObjectHead("k", 5, storage_class="GLACIER"), False),
        (ObjectOptions(storage_class="GLACIER"), ObjectHead("k", 5, storage_class="GLACIER"), True),
        (ObjectOptions(sse="aws:kms"), HEAD, False),
        (ObjectOptions(tags={"a": "b"}), HEAD, False),
        (ObjectOptions(acl="private"), HEAD, False),
        (ObjectOptions(content=Content(cache_control="no-store")), HEAD, False),
        (
            ObjectOptions(content=Content(cache_control="no-store")),
            ObjectHead("k", 5, content=Content(content_type="text/plain", cache_control="no-store")),
            True,
        ),
        (ObjectOptions(content=Content(metadata={"a": "1"})), HEAD, False),
    ],
)
def test_options_have_to_be_those(options: ObjectOptions | None, head: ObjectHead, same: bool) -> None:
    """An object that would be stored otherwise now, or of which that cannot be told, is stored again."""
    assert as_stored(head, 5, options) is same
    assert not as_stored(head, 6, options), "another length is another object"


TYPED = ObjectHead("s", 5, f'"{MD5}"', content=Content(content_type="text/css", metadata={"a": "b"}))


@pytest.mark.parametrize(
    ("head", "source", "options", "same"),
    [
        (HEAD, HEAD, None, True),
        (TYPED, TYPED, None, True),
        (HEAD, TYPED, None, False),
        (TYPED, HEAD, None, False),
        (TYPED, HEAD, ObjectOptions(content=TYPED.content), True),
        (TYPED, TYPED, ObjectOptions(content=Content(content_type="text/css")), True),
        (HEAD, HEAD, ObjectOptions(content=Content(content_type="text/css")), False),
        (ObjectHead("k", 5, tags=1), HEAD, None, False),
        (HEAD, ObjectHead("k", 5, tags=1), None, False),
        (ObjectHead("k", 5, tags=1), ObjectHead("k", 5, tags=1), None, False),
        (ObjectHead("k", 5, storage_class="GLACIER"), HEAD, None, False),
        (ObjectHead("k", 5, storage_class="GLACIER"), HEAD, ObjectOptions(storage_class="GLACIER"), True),
    ],
)
def test_a_copy_has_what_it_keeps_of_its_source(
    head: ObjectHead, source: ObjectHead, options: ObjectOptions | None, same: bool
) -> None:
    """Equal bytes with other headers, class or tags are no copy that was made."""
    assert keeps_alike(head, source, options) is same


def test_an_upload_replaces_metadata_and_tags() -> None:
    """An object of the same bytes that has others than the upload would give it was there before."""
    assert holds_no_more(HEAD, ObjectOptions())
    assert holds_no_more(TYPED, ObjectOptions(content=Content(metadata={"a": "b"})))
    assert not holds_no_more(TYPED, ObjectOptions())
    assert not holds_no_more(HEAD, ObjectOptions(content=Content(metadata={"a": "b"})))
    assert not holds_no_more(ObjectHead("k", 5, tags=1), ObjectOptions())
