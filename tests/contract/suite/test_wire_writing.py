"""Rows about writing that only the server sees: C24 to C26, C28 to C35, C53."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from bulkhaul.errors import (
    AccessDenied,
    Conflict,
    NetworkError,
    NotFound,
    OtherError,
    PreconditionFailed,
    TransferError,
)
from bulkhaul.model.objects import TOKEN_KEY
from tests.faultserver import (
    CutReceiving,
    Exchange,
    Fault,
    ReplaceObject,
    Status,
    make_object,
    reply_lost,
)
from tests.faultserver.store import store_of

from .bodies import made
from .wired import (
    LARGE,
    LARGE_PARTS,
    OTHER,
    PART_BYTES,
    THRESHOLD_BYTES,
    Wired,
    operations,
    put,
)

DISPOSITION = 'attachment; filename="a b.txt"'
PUTS = ("bytes", "path")


@dataclass(frozen=True, kw_only=True)
class ReplaceSource(Fault):
    """Puts another object in the place of a copy's source, before the addressed request is answered."""

    source: str

    def before(self, exchange: Exchange) -> bool:
        """Change the store."""
        store_of(exchange).put("bucket", self.source, make_object(OTHER))
        return True


# Putting


@pytest.mark.parametrize("how", PUTS)
def test_c24_one_request_below_the_threshold_and_parts_at_it(wire: Wired, tmp_path: Path, how: str) -> None:
    """One byte less is one PutObject; the threshold itself is an upload in parts."""
    put(wire, how, f"c24-{how}-below", made(THRESHOLD_BYTES - 1), tmp_path)
    put(wire, how, f"c24-{how}-at", made(THRESHOLD_BYTES), tmp_path)
    assert operations(wire, f"c24-{how}-below") == {"PutObject": 1}
    assert operations(wire, f"c24-{how}-at") == {
        "CreateMultipartUpload": 1, "UploadPart": 2, "CompleteMultipartUpload": 1,
    }  # fmt: skip


@pytest.mark.parametrize("how", PUTS)
@pytest.mark.parametrize("size_bytes", [0, 1, 1000])
def test_c25_a_small_put_declares_its_length(wire: Wired, tmp_path: Path, how: str, size_bytes: int) -> None:
    """Content-Length is exactly the size: nothing is sent in chunks."""
    key = f"c25-{how}-{size_bytes}"
    put(wire, how, key, made(size_bytes), tmp_path)
    (asked,) = wire.asked("PutObject", key=key)
    assert asked.headers["content-length"] == f"{size_bytes}"
    assert "transfer-encoding" not in asked.headers


@pytest.mark.parametrize("how", PUTS)
@pytest.mark.parametrize("body", [b"abc", LARGE], ids=["small", "large"])
def test_c26_headers_go_with_the_object_alone(wire: Wired, tmp_path: Path, how: str, body: bytes) -> None:
    """Disposition and metadata are on PutObject or CreateMultipartUpload, and on no part."""
    key = f"c26-{how}-{len(body)}"
    put(wire, how, key, body, tmp_path, metadata={"Owner": "Ann"}, content_disposition=DISPOSITION)
    carrying = {
        one.operation
        for one in wire.asked(key=key)
        if one.headers.get("x-amz-meta-owner") == "Ann" and one.headers.get("content-disposition") == DISPOSITION
    }
    assert carrying == {"PutObject" if body == b"abc" else "CreateMultipartUpload"}
    others = [one for one in wire.asked(key=key) if one.operation not in carrying]
    assert not [one for one in others if {"x-amz-meta-owner", "content-disposition"} & one.headers.keys()]


# Creating once


def test_c28_one_conditional_put_says_it(wire: Wired) -> None:
    """``If-None-Match: *`` on one PutObject; nothing is asked before."""
    assert wire.store.put_if_absent("c28", b"x") is True
    (asked,) = wire.asked(key="c28")
    assert (asked.operation, asked.headers["if-none-match"]) == ("PutObject", "*")


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_c28_a_412_and_a_409_are_false(wire: Wired, code: str) -> None:
    """Another one was there, or was just being written: the object is not ours, and the write is not repeated."""
    wire.fault(f"c28-{code}", Status(operation="PutObject", code=code))
    assert wire.store.put_if_absent(f"c28-{code}", b"x") is False
    assert operations(wire, f"c28-{code}") == {"PutObject": 1}


def test_c28_whoever_comes_second_needs_no_right_to_read(wire: Wired) -> None:
    """The first try was answered with 412, so nothing is in doubt: no HEAD, which may be forbidden, is sent."""
    wire.server.store.put("bucket", "c28-second", make_object(b"theirs"))
    wire.fault("c28-second", Status(operation="HeadObject", code="AccessDenied", attempt="every"))
    assert wire.store.put_if_absent("c28-second", b"mine") is False
    assert operations(wire, "c28-second") == {"PutObject": 1}


def test_c53_a_409_is_false_although_it_may_be_tried_again(wire: Wired) -> None:
    """AWS advises a retry, the contract an answer: False, also while nobody has created it."""
    wire.fault("c53", Status(operation="PutObject", code="ConditionalRequestConflict"))
    assert wire.store.put_if_absent("c53", b"x") is False
    assert wire.server.store.get("bucket", "c53") is None


@pytest.mark.parametrize(
    "code", ["OperationAborted", "ExistingObjectIsDirectory", ""], ids=["aborted", "folder", "none"]
)
def test_c28_a_409_about_something_else_raises(wire: Wired, code: str) -> None:
    """Nobody has created it, and nobody is about to: False would say that it is there."""
    key = f"c28-409-{code}"
    wire.fault(key, Status(operation="PutObject", code=code, status=409, attempt="every"))
    with pytest.raises(Conflict, match="conflicts"):
        wire.store.put_if_absent(key, b"x")
    asked = operations(wire, key)
    asked.pop("GetObject", None)  # of a byte, once a bucket: why there is nothing
    assert asked == {"PutObject": 1, "HeadObject": 1}


def test_c28_a_409_about_an_object_that_is_there_is_false(wire: Wired) -> None:
    """Whatever the code says: a look finds the key."""
    wire.server.store.put("bucket", "c28-there", make_object(b"theirs"))
    wire.fault("c28-there", Status(operation="PutObject", code="OperationAborted", status=409))
    assert wire.store.put_if_absent("c28-there", b"mine") is False


def test_c28_a_lost_reply_is_settled_by_the_objects_token(wire: Wired) -> None:
    """The write took effect and its reply was lost: the 412 to the repetition is our own object, so True."""
    fault = wire.fault("c28-lost", reply_lost(operation="PutObject"))
    assert wire.store.put_if_absent("c28-lost", b"mine") is True
    assert wire.server.fired(fault) == 1
    assert operations(wire, "c28-lost") == {"PutObject": 2, "HeadObject": 1}
    stored = wire.server.store.get("bucket", "c28-lost")
    assert stored is not None
    assert stored.body == b"mine"
    assert list(stored.metadata) == [TOKEN_KEY]


def test_c28_a_doubt_that_cannot_be_settled_is_told(wire: Wired) -> None:
    """After a lost reply and a 412 only HEAD could tell; where it is refused, that refusal is raised."""
    wire.fault("c28-doubt", reply_lost(operation="PutObject"))
    wire.fault("c28-doubt", Status(operation="HeadObject", code="AccessDenied", attempt="every"))
    with pytest.raises(AccessDenied):
        wire.store.put_if_absent("c28-doubt", b"mine")


def test_c28_every_reply_lost_is_settled_too(wire: Wired) -> None:
    """However often the reply is lost, the object says whose it is."""
    wire.fault("c28-all-lost", reply_lost(operation="PutObject", attempt="every"))
    assert wire.store.put_if_absent("c28-all-lost", b"mine") is True


def test_c28_a_rival_behind_a_lost_request_wins(wire: Wired) -> None:
    """Our request was lost before it took effect, and somebody else's arrived: False, and theirs stays."""
    wire.fault("c28-rival", CutReceiving(after_bytes=0))
    rival = ReplaceObject(operation="PutObject", replacement=b"theirs", attempt=2)
    wire.fault("c28-rival", rival)
    assert wire.store.put_if_absent("c28-rival", b"mine") is False
    assert wire.store.get_bytes("c28-rival") == b"theirs"


def test_c28_what_was_never_stored_raises(wire: Wired) -> None:
    """No reply ever, and no object there: the network error is told, neither True nor False."""
    wire.fault("c28-never", CutReceiving(after_bytes=0, attempt="every"))
    with pytest.raises(NetworkError):
        wire.store.put_if_absent("c28-never", b"mine")


@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", AccessDenied), ("InternalError", OtherError)])
def test_c28_other_refusals_raise(wire: Wired, code: str, kind: type[TransferError]) -> None:
    """A refusal is no answer."""
    wire.fault(f"c28-{code}", Status(operation="PutObject", code=code, attempt="every"))
    with pytest.raises(kind):
        wire.store.put_if_absent(f"c28-{code}", b"x")


@pytest.mark.parametrize("body", [b"", LARGE], ids=["empty", "large"])
def test_c29_it_is_one_put_whatever_the_size(wire: Wired, body: bytes) -> None:
    """Parts could not be created on condition; a lock may be empty."""
    assert wire.store.put_if_absent(f"c29-{len(body)}", body) is True
    assert operations(wire, f"c29-{len(body)}") == {"PutObject": 1}


# Copying


def test_c30_a_copy_looks_at_its_source_first(wire: Wired) -> None:
    """HEAD of the source, then one CopyObject; of a missing source nothing more is asked."""
    wire.server.store.put("bucket", "c30", make_object(b"abc"))
    wire.store.copy("c30", "c30-copy")
    assert [(one.operation, one.key) for one in wire.asked()] == [("HeadObject", "c30"), ("CopyObject", "c30-copy")]
    wire.forget()
    with pytest.raises(NotFound):
        wire.store.copy("c30-missing", "c30-copy")
    assert [(one.operation, one.key) for one in wire.asked()] == [("HeadObject", "c30-missing")]


def test_c31_a_copy_in_parts_from_the_threshold_on(wire: Wired) -> None:
    """One CopyObject below it; at it parts whose ranges tile the source."""
    for extra_bytes, asked in ((-1, {"CopyObject": 1}), (0, {"UploadPartCopy": 2})):
        key = f"c31{extra_bytes}"
        wire.server.store.put("bucket", key, make_object(made(THRESHOLD_BYTES + extra_bytes)))
        wire.store.copy(key, f"{key}-copy")
        counted = operations(wire, f"{key}-copy")
        assert {name: counted[name] for name in ("CopyObject", "UploadPartCopy") if counted[name]} == asked
        assert wire.store.get_bytes(f"{key}-copy") == made(THRESHOLD_BYTES + extra_bytes)
    ranges = [one.headers["x-amz-copy-source-range"] for one in wire.asked("UploadPartCopy")]
    assert sorted(ranges) == [f"bytes=0-{PART_BYTES - 1}", f"bytes={PART_BYTES}-{THRESHOLD_BYTES - 1}"]


@pytest.mark.parametrize(("body", "operation"), [(b"abc", "CopyObject"), (LARGE, "UploadPartCopy")])
def test_c32_every_request_of_a_copy_is_conditional(wire: Wired, body: bytes, operation: str) -> None:
    """The ETag that HEAD told goes with CopyObject and with every part."""
    source = make_object(body)
    wire.server.store.put("bucket", f"c32-{operation}", source)
    wire.store.copy(f"c32-{operation}", f"c32-{operation}-copy")
    asked = wire.asked(operation)
    assert len(asked) == (1 if body == b"abc" else LARGE_PARTS)
    assert {one.headers["x-amz-copy-source-if-match"].strip('"') for one in asked} == {source.etag}


@pytest.mark.parametrize(("body", "operation", "part"), [(b"abc", "CopyObject", None), (LARGE, "UploadPartCopy", 3)])
def test_c32_a_source_that_changes_fails_the_copy(wire: Wired, body: bytes, operation: str, part: int | None) -> None:
    """PreconditionFailed with the source, no second try, and no destination: an object of two would be nobody's."""
    key = f"c32-changed-{operation}"
    wire.server.store.put("bucket", key, make_object(body))
    wire.fault(f"{key}-copy", ReplaceSource(operation=operation, source=key, part=part))
    with pytest.raises(PreconditionFailed) as caught:
        wire.store.copy(key, f"{key}-copy")
    assert caught.value.subject == f"s3://bucket/{key}"
    assert len(wire.asked("HeadObject", key=key)) == 1
    assert max(Counter(one.part for one in wire.asked(operation)).values()) == 1
    assert wire.server.store.get("bucket", f"{key}-copy") is None


@pytest.mark.parametrize("key", ["c34 a", "c34#b", "c34%2Fc", "c34+d", "c34/ü", "c34?versionId=e", "c34-._~!*'()"])
def test_c34_the_source_is_encoded_once(wire: Wired, key: str) -> None:
    """Everything but letters, digits and ``/ . - _ ~`` is escaped, as UTF-8, and only once."""
    wire.server.store.put("bucket", key, make_object(b"abc"))
    wire.store.copy(key, "c34-copy")
    (asked,) = wire.asked("CopyObject")
    assert asked.headers["x-amz-copy-source"] == f"bucket/{quote(key, safe='/.-_~')}"


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        ("CopyObject", "source"),
        ("UploadPartCopy", "source"),
        ("CreateMultipartUpload", "destination"),
        ("CompleteMultipartUpload", "destination"),
    ],
)
def test_c35_an_error_names_the_object_that_it_is_about(wire: Wired, operation: str, named: str) -> None:
    """What is read is the source, what is made is the destination."""
    keys = {"source": f"c35-{operation}", "destination": f"c35-{operation}-copy"}
    wire.server.store.put("bucket", keys["source"], make_object(b"abc" if operation == "CopyObject" else LARGE))
    wire.fault(keys["destination"], Status(operation=operation, code="AccessDenied", attempt="every"))
    with pytest.raises(AccessDenied) as caught:
        wire.store.copy(keys["source"], keys["destination"])
    assert caught.value.subject == f"s3://bucket/{keys[named]}"
