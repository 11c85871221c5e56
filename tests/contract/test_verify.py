"""Comparisons that meet trouble: what is not known is never equal, and what changes meanwhile is not believed."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import Engine
from bulkhaul.errors import NotFound, UsageError
from bulkhaul.jobs.verify_digests import digest_file
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.jobs.verifying import verify
from bulkhaul.model.verdicts import Evidence, PairResult, Verdict
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import error_reply
from tests.engines import PART_BYTES, running_engine, serving
from tests.faultserver import Etag, Exchange, Fault, FaultServer, FlipBit, ReplaceObject, Status, make_object

EQUAL, DIFFERENT, MISSING, UNDECIDABLE = Verdict
READ, READ_ALL = VerifyOptions(read=True), VerifyOptions(read_all=True)
OURS, THEIRS = "s3://bucket/ours/", "s3://bucket/theirs/"
BODY = bytes(range(256)) * 40
LARGE = bytes(range(251)) * 40_000  # ten million bytes: several blocks


@dataclass
class Place:
    """A server, an engine that asks it, and a folder."""

    server: FaultServer
    engine: Engine
    here: Path

    def put(self, key: str, body: bytes = BODY, **fields: Any) -> None:
        """Store an object."""
        headers = fields.pop("headers", {})
        self.server.store.put("bucket", key, replace(make_object(body, **fields), headers=headers))

    def make(self, name: str, body: bytes = BODY) -> Path:
        """Make a file."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (1, 1))
        return path

    def verify(
        self, one: str | Path, other: str | Path, options: VerifyOptions | None = None
    ) -> dict[str, tuple[Verdict, Evidence | None]]:
        """Compare, and return what each name came to."""
        return {result.name: (result.verdict, result.evidence) for result in self.results(one, other, options)}

    def results(self, one: str | Path, other: str | Path, options: VerifyOptions | None = None) -> list[PairResult]:
        """Compare, and make sure that the counts are those of the results."""
        counts = VerifyCounts()
        results = list(verify(self.engine, one, other, options, counts=counts))
        assert counts.compared == len(results)
        assert counts.all_equal == all(result.verdict is EQUAL for result in results)
        assert [result.name for result in results] == sorted(result.name for result in results)
        return results

    def asked(self, operation: str) -> int:
        """Return how often an operation was asked for."""
        return len(self.server.requests_for(operation))


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FaultServer, Engine]]:
    """A server and an engine that asks it, for all tests of this module."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        yield server, engine


@pytest.fixture
def place(served: tuple[FaultServer, Engine], tmp_path: Path) -> Place:
    """An empty bucket, and a folder of its own."""
    server, engine = served
    for key in server.store.in_bucket("bucket"):
        server.store.delete("bucket", key)
    (tmp_path / "here").mkdir()
    return Place(server, engine, tmp_path / "here")


# Verdicts


def test_each_verdict(place: Place) -> None:
    """Every name of both sides is told once, in order, with the side that lacks it."""
    for name in ("same", "other", "only-ours", "size"):
        place.put(f"ours/{name}", algorithm="CRC64NVME")
    place.put("theirs/same", algorithm="CRC64NVME")
    place.put("theirs/other", BODY[:-1] + b"?", algorithm="CRC64NVME")
    place.put("theirs/only-theirs")
    place.put("theirs/size", BODY + b"1")
    results = place.results(OURS, THEIRS)
    assert [(one.name, one.verdict, one.evidence) for one in results] == [
        ("only-ours", MISSING, None),
        ("only-theirs", MISSING, None),
        ("other", DIFFERENT, Evidence.STORED_CHECKSUM),
        ("same", EQUAL, Evidence.STORED_CHECKSUM),
        ("size", DIFFERENT, Evidence.SIZE),
    ]
    assert [one.missing for one in results[:2]] == ["s3://bucket/theirs/only-ours", "s3://bucket/ours/only-theirs"]


def test_all_three_kinds_of_sides(place: Place, tmp_path: Path) -> None:
    """Files against objects in both orders, files against files, and one of each alone."""
    file = place.make("a/b")
    place.put("ours/a/b", algorithm="SHA256")
    other = tmp_path / "there/a/b"
    other.parent.mkdir(parents=True)
    other.write_bytes(BODY)
    computed = (EQUAL, Evidence.COMPUTED_CHECKSUM)
    assert place.verify(place.here, OURS) == {"a/b": computed}
    assert place.verify(OURS, place.here) == {"a/b": computed}
    assert place.verify(place.here, tmp_path / "there") == {"a/b": (EQUAL, Evidence.BYTES)}
    assert place.verify(file, "s3://bucket/ours/a/b") == {"": computed}
    assert place.verify("s3://bucket/ours/a/b", file) == {"": computed}
    assert place.verify(file, other) == {"": (EQUAL, Evidence.BYTES)}
    place.put("theirs/c", algorithm="SHA256")
    assert place.verify("s3://bucket/ours/a/b", "s3://bucket/theirs/c") == {"": (EQUAL, Evidence.STORED_CHECKSUM)}
    other.write_bytes(BODY[::-1])
    assert place.verify(place.here, tmp_path / "there") == {"a/b": (DIFFERENT, Evidence.BYTES)}


def test_a_file_that_has_no_object(place: Place) -> None:
    """One file against a key that is not there is missing, and so is an object against no file."""
    file = place.make("a")
    assert place.verify(file, "s3://bucket/nothing") == {"": (MISSING, None)}
    place.put("ours/x")
    assert place.verify("s3://bucket/ours/x", place.here / "x") == {"": (MISSING, None)}


def test_the_same_size_and_time_with_a_flipped_bit(place: Place) -> None:
    """What a listing cannot show is found by every kind of checksum."""
    flipped = bytearray(BODY)
    flipped[7] ^= 1
    kinds: dict[str, dict[str, Any]] = {
        "crc": {"algorithm": "CRC32"},
        "composite": {"algorithm": "CRC32C", "checksum_type": "COMPOSITE", "part_size_bytes": 1000},
        "etag-of-parts": {"part_size_bytes": 1000},
        "md5": {},
    }
    for name, fields in kinds.items():
        place.put(f"ours/{name}", **fields)
        place.make(name, bytes(flipped))
    found = place.verify(place.here, OURS, VerifyOptions(part_size_bytes=1000))
    assert found == {
        "composite": (DIFFERENT, Evidence.COMPUTED_CHECKSUM),
        "crc": (DIFFERENT, Evidence.COMPUTED_CHECKSUM),
        "etag-of-parts": (UNDECIDABLE, None),  # the parts may have been others
        "md5": (DIFFERENT, Evidence.MD5),
    }
    for name in found:
        place.make(name)
    assert place.verify(place.here, OURS) == {
        "composite": (EQUAL, Evidence.COMPUTED_CHECKSUM),
        "crc": (EQUAL, Evidence.COMPUTED_CHECKSUM),
        "etag-of-parts": (EQUAL, Evidence.MULTIPART_ETAG),  # HEAD of the first part tells its length
        "md5": (EQUAL, Evidence.MD5),
    }


def test_parts_cut_otherwise(place: Place) -> None:
    """ETags that differ prove nothing, checksums of parts are folded, and reading decides the rest."""
    place.put("ours/etags", part_size_bytes=1000)
    place.put("theirs/etags", part_size_bytes=2000)
    place.put("ours/folded", algorithm="CRC32", checksum_type="COMPOSITE", part_size_bytes=1000)
    place.put("theirs/folded", algorithm="CRC32", checksum_type="COMPOSITE", part_size_bytes=2000)
    place.put("ours/sha", algorithm="SHA256", checksum_type="COMPOSITE", part_size_bytes=1000)
    place.put("theirs/sha", algorithm="SHA256", checksum_type="COMPOSITE", part_size_bytes=2000)
    folded = (EQUAL, Evidence.FOLDED_CHECKSUM)
    found = place.verify(OURS, THEIRS)
    assert found == {"etags": (UNDECIDABLE, None), "folded": folded, "sha": (UNDECIDABLE, None)}
    read = (EQUAL, Evidence.BYTES)
    assert place.verify(OURS, THEIRS, READ) == {"etags": read, "folded": folded, "sha": read}


def test_attributes_that_are_missing(place: Place) -> None:
    """Where the parts cannot be asked for, a composite checksum of a file proves nothing by itself."""
    place.put("ours/blind", algorithm="CRC32", checksum_type="COMPOSITE", part_size_bytes=1000, etag="0" * 32 + "-11")
    place.make("blind")
    refused = Status(code="NotImplemented", key="ours/blind", operation="GetObjectAttributes", attempt="every")
    heads = NoPartNumbers()
    place.server.add_fault(refused)
    place.server.add_fault(heads)
    assert place.verify(place.here, OURS) == {"blind": (UNDECIDABLE, None)}
    assert place.server.fired(refused)
    assert place.server.fired(heads)


@dataclass(frozen=True, kw_only=True)
class NoPartNumbers(Fault):
    """Answers a HEAD of one part as one of the whole object, as servers do that do not know it."""

    key: str | None = "ours/blind"
    operation: str | None = "HeadObject"

    def before(self, exchange: Exchange) -> Reply | None:
        """Refuse it."""
        if "partNumber" in exchange.request.query:
            return error_reply(501, "NotImplemented", "no parts here", exchange.request.key, {})
        return None


# ETags that are no MD5


def test_encryption_takes_the_meaning_from_etags(place: Place) -> None:
    """With KMS an ETag proves neither; reading does."""
    kms = {"x-amz-server-side-encryption": "aws:kms"}
    place.put("ours/a", headers=kms, etag=hashlib.md5(BODY).hexdigest())
    place.put("theirs/a", etag=hashlib.md5(b"else").hexdigest())
    (one,) = place.results(OURS, THEIRS)
    assert one.verdict is UNDECIDABLE
    assert "aws:kms" in one.reason
    assert "--read would decide" in one.reason
    place.make("a")
    assert place.verify(place.here, OURS) == {"a": (UNDECIDABLE, None)}
    assert place.verify(place.here, OURS, READ) == {"a": (EQUAL, Evidence.BYTES)}
    assert place.verify(OURS, THEIRS, READ) == {"a": (EQUAL, Evidence.BYTES)}


# Reading


def test_bytes_are_read_through(place: Place) -> None:
    """Objects of many blocks, with one bit flipped in the last of them, and how many bytes that took."""
    place.put("ours/a", LARGE, part_size_bytes=PART_BYTES)
    place.put("theirs/a", LARGE, part_size_bytes=2 * PART_BYTES)
    (one,) = place.results(OURS, THEIRS, READ)
    assert (one.verdict, one.evidence, one.read_bytes) == (EQUAL, Evidence.BYTES, 2 * len(LARGE))
    assert one.facts[0] is not None
    assert one.facts[0].digests == {"SHA256": _sha256(LARGE)}
    flipped = bytearray(LARGE)
    flipped[-5] ^= 4
    place.put("theirs/a", bytes(flipped), part_size_bytes=2 * PART_BYTES)
    assert place.verify(OURS, THEIRS, READ) == {"a": (DIFFERENT, Evidence.BYTES)}


def _sha256(body: bytes) -> str:
    import base64

    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_a_damaged_object_is_found_by_reading_everything(place: Place) -> None:
    """Stored checksums are equal, but the bytes of one side are not what its checksum promises."""
    for prefix in ("ours", "theirs"):
        place.put(f"{prefix}/rotten", algorithm="CRC32C")
    fault = FlipBit(key="theirs/rotten", offset=100)
    place.server.add_fault(replace(fault, attempt="every"))
    assert place.verify(OURS, THEIRS) == {"rotten": (EQUAL, Evidence.STORED_CHECKSUM)}
    (one,) = place.results(OURS, THEIRS, READ_ALL)
    assert (one.verdict, one.evidence) == (DIFFERENT, Evidence.COMPUTED_CHECKSUM)
    assert "the checksum stored with it" in one.reason


def test_nothing_is_read_without_need(place: Place) -> None:
    """Reading is for what nothing else decides."""
    for prefix in ("ours", "theirs"):
        place.put(f"{prefix}/a", algorithm="CRC32")
    before = place.asked("GetObject")
    assert place.verify(OURS, THEIRS, READ) == {"a": (EQUAL, Evidence.STORED_CHECKSUM)}
    assert place.asked("GetObject") == before


# Changes


def test_an_object_that_is_replaced_once_is_compared_again(place: Place) -> None:
    """The verdict is on what is there in the end."""
    place.put("ours/a", LARGE, part_size_bytes=PART_BYTES)
    place.put("theirs/a", LARGE, part_size_bytes=2 * PART_BYTES)
    place.server.add_fault(ReplaceObject(key="theirs/a", operation="GetObject", replacement=LARGE[::-1]))
    (one,) = place.results(OURS, THEIRS, READ)
    assert (one.verdict, one.evidence) == (DIFFERENT, Evidence.BYTES)


def test_an_object_that_changes_all_the_time_is_undecidable(place: Place) -> None:
    """It is tried twice."""
    place.put("ours/changing", algorithm="SHA256", checksum_type="COMPOSITE", part_size_bytes=1000)
    place.put("theirs/changing", algorithm="SHA256", checksum_type="COMPOSITE", part_size_bytes=2000)
    fault = Restless(key="theirs/changing", attempt="every")
    place.server.add_fault(fault)
    (one,) = place.results(OURS, THEIRS)
    assert one.verdict is UNDECIDABLE
    assert "changed while it was compared" in one.reason
    assert place.server.fired(fault) == 4  # two looks in each of two tries


_HEADS = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Restless(Fault):
    """Tells another ETag at each HEAD."""

    operation: str | None = "HeadObject"

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Count."""
        return Etag(etag=f"{next(_HEADS):032x}-6").reshape(exchange, reply)


def test_a_file_that_changes_while_it_is_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read once more; if that changes, too, it is undecidable."""
    path = place.make("a", LARGE)
    place.put("ours/a", LARGE, algorithm="CRC32")
    reading = os.preadv
    changes = [1, 2]

    def preadv(fd: int, buffers: Any, offset: int) -> int:
        if offset and changes and os.fstat(fd).st_size == len(LARGE):
            os.utime(path, (1, changes.pop() + 100))
        return reading(fd, buffers, offset)

    monkeypatch.setattr("bulkhaul.disk.readback.os.preadv", preadv)
    del changes[0]
    assert place.verify(place.here, OURS) == {"a": (EQUAL, Evidence.COMPUTED_CHECKSUM)}
    assert changes == []
    changes += range(10, 100)
    (one,) = place.results(place.here, OURS)
    assert one.verdict is UNDECIDABLE
    assert "changed while it was compared" in one.reason


def test_a_file_that_grew_after_it_was_listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is looked at again, and is the object's no more."""
    path = place.make("a")
    place.put("ours/a", algorithm="CRC32")

    def grown(*what: Any) -> Any:
        path.write_bytes(BODY + b"more")
        return digest_file(*what)

    monkeypatch.setattr("bulkhaul.jobs.verify_pair.digest_file", grown)
    assert place.verify(place.here, OURS) == {"a": (DIFFERENT, Evidence.SIZE)}


def test_an_object_that_goes_after_it_was_listed(place: Place) -> None:
    """It is missing, on the side where it went."""
    place.put("ours/going", algorithm="CRC32")
    place.put("theirs/going", algorithm="CRC32")
    place.server.add_fault(Status(code="NoSuchKey", key="theirs/going", operation="HeadObject", attempt="every"))
    (one,) = place.results(OURS, THEIRS)
    assert (one.verdict, one.missing) == (MISSING, "s3://bucket/theirs/going")


# What cannot be looked at


def test_an_object_that_may_not_be_looked_at(place: Place) -> None:
    """It is undecidable, and the others are compared."""
    for name in ("a", "locked"):
        place.put(f"ours/{name}", algorithm="CRC32")
        place.put(f"theirs/{name}", algorithm="CRC32")
    place.server.add_fault(Status(code="AccessDenied", key="theirs/locked", operation="HeadObject", attempt="every"))
    assert place.verify(OURS, THEIRS) == {"a": (EQUAL, Evidence.STORED_CHECKSUM), "locked": (UNDECIDABLE, None)}


def test_a_file_that_cannot_be_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is undecidable, with the reason."""
    place.make("a")
    place.put("ours/a", algorithm="CRC32")
    opening = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("/here/a"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return opening(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr("os.open", refuse)
    (one,) = place.results(place.here, OURS)
    assert one.verdict is UNDECIDABLE
    assert "permission denied" in one.reason


@pytest.mark.parametrize("turned", [False, True])
def test_what_lies_below_an_unread_folder_is_not_missing(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, turned: bool
) -> None:
    """Nobody knows what is in it."""
    place.make("locked/x")
    place.make("seen")
    for name in ("locked/x", "locked/y", "seen", "gone"):
        place.put(f"ours/{name}", algorithm="CRC32")
    opening = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("/locked"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return opening(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr("os.open", refuse)
    sides = (OURS, place.here) if turned else (place.here, OURS)
    assert place.verify(*sides) == {
        "gone": (MISSING, None),
        "locked/": (UNDECIDABLE, None),
        "locked/x": (UNDECIDABLE, None),
        "locked/y": (UNDECIDABLE, None),
        "seen": (EQUAL, Evidence.COMPUTED_CHECKSUM),
    }


def test_nothing_at_all_is_not_equal(place: Place) -> None:
    """Neither place has anything: that is an error, and no success."""
    with pytest.raises(NotFound):
        place.results(OURS, THEIRS)
    place.put("ours/a")
    place.put("theirs/a")
    with pytest.raises(NotFound):
        place.results(OURS, THEIRS, VerifyOptions(exclude=["*"]))


def test_markers_and_filters(place: Place) -> None:
    """An object that marks a folder has no file; filters apply to both sides."""
    place.put("ours/d/", b"")
    place.put("ours/d/a", algorithm="CRC32")
    place.put("ours/no.tmp")
    place.make("d/a")
    place.make("other.tmp")
    options = VerifyOptions(exclude=["*.tmp"])
    assert place.verify(OURS, place.here, options) == {"d/a": (EQUAL, Evidence.COMPUTED_CHECKSUM)}
    place.put("theirs/d/", b"")
    place.put("theirs/d/a", algorithm="CRC32")
    found = place.verify(OURS, THEIRS, options)
    assert found == {"d/": (EQUAL, Evidence.SIZE), "d/a": (EQUAL, Evidence.STORED_CHECKSUM)}
    assert place.verify("s3://bucket/ours/d/*", f"{THEIRS}d/") == {"a": (EQUAL, Evidence.STORED_CHECKSUM)}


# Metadata and tags


def test_metadata_and_tags(place: Place) -> None:
    """What is different is named; what bulkhaul adds itself does not count."""
    token = {"bulkhaul-token": "ours", "who": "me"}
    for prefix, more in (("ours", {}), ("theirs", {"who": "you"})):
        store = place.server.store
        made = make_object(BODY, algorithm="CRC32")
        store.put("bucket", f"{prefix}/meta", replace(made, metadata={**token, **more}, content_type="text/plain"))
        store.put("bucket", f"{prefix}/tags", replace(made, metadata={"bulkhaul-token": prefix}, tags={"t": prefix}))
        store.put("bucket", f"{prefix}/type", replace(made, content_type=f"text/{prefix}"))
        store.put("bucket", f"{prefix}/same", replace(made, metadata={"a": "b"}, tags={"c": "d"}))
    assert all(verdict is EQUAL for verdict, _ in place.verify(OURS, THEIRS).values())
    results = place.results(OURS, THEIRS, VerifyOptions(compare="checksum,metadata,tags"))
    assert [(one.name, one.verdict, one.evidence, one.reason.partition("not ")[2]) for one in results] == [
        ("meta", DIFFERENT, Evidence.METADATA, "metadata 'who'"),
        ("same", EQUAL, Evidence.STORED_CHECKSUM, ""),
        ("tags", DIFFERENT, Evidence.TAGS, "the tags 't'"),
        ("type", DIFFERENT, Evidence.METADATA, "content-type"),
    ]
    with pytest.raises(UsageError):
        place.results(OURS, place.here, VerifyOptions(compare="tags"))


def test_many_are_looked_at_side_by_side(place: Place) -> None:
    """Results come in the order of names all the same, and HEADs are bounded."""
    for number in range(300):
        place.put(f"ours/{number:03}", b"%d" % number, algorithm="CRC32")
        place.put(f"theirs/{number:03}", b"%d" % number, algorithm="CRC32")
    assert set(place.verify(OURS, THEIRS).values()) == {(EQUAL, Evidence.STORED_CHECKSUM)}
    assert place.server.max_in_flight_of("HeadObject") <= 128


def test_a_comparison_that_is_left_leaves_nothing(place: Place) -> None:
    """A caller may stop in the middle."""
    for number in range(50):
        place.put(f"ours/{number:03}", algorithm="CRC32")
        place.put(f"theirs/{number:03}", algorithm="CRC32")
    results = verify(place.engine, OURS, THEIRS)
    assert next(iter(results)).verdict is EQUAL
    del results


@pytest.mark.parametrize("turned", [False, True])
def test_one_of_two_objects_is_missing(place: Place, turned: bool) -> None:
    """It is told which; a key that others lie below of is a prefix, as before."""
    server, engine = place.server, place.engine
    server.store.put("bucket", "pair/one", make_object(b"1"))
    server.store.put("bucket", "pair/folder/x", make_object(b"1"))
    there, gone, folder = (f"s3://bucket/pair/{name}" for name in ("one", "other", "folder"))
    (result,) = list(verify(engine, *((gone, there) if turned else (there, gone))))
    assert (result.verdict, result.missing) == (Verdict.MISSING, gone)
    (result,) = list(verify(engine, *((folder, there) if turned else (there, folder))))
    assert (result.verdict, result.name) == (Verdict.MISSING, "x")
