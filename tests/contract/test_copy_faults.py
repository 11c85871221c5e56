"""Copies by the service: of the object that they began with, whole, described alike, or not at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from bulkhaul import errors
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.testing.faultserver.faults import Exchange
from tests.faultserver import (
    CutReceiving,
    ErrorXmlWith200,
    Fault,
    NoChecksumTypes,
    Status,
    StoredObject,
    make_object,
    reply_lost,
    storm,
)
from tests.faultserver.store import store_of
from tests.writing import PART_BYTES, WriteRig, Written, engine_at, serving_site

Shape = Literal["whole", "parts"]
OLD = b"what was there before"
BODIES: dict[Shape, bytes] = {
    "whole": random.Random(71).randbytes(PART_BYTES),
    "parts": random.Random(72).randbytes(4 * PART_BYTES + 99),
}
SHAPES = pytest.mark.parametrize("shape", ["whole", "parts"])


def described(shape: Shape) -> StoredObject:
    """Return an object with everything that a copy must keep."""
    stored = make_object(BODIES[shape], algorithm="CRC64NVME", metadata={"colour": "red"}, content_encoding="br")
    headers = {
        "Cache-Control": "max-age=9",
        "Content-Disposition": 'attachment; filename="a"',
        "Content-Language": "de",
    }
    return replace(stored, content_type="text/odd", headers=headers, tags={"team": "blue & green"})


def assert_described(stored: StoredObject | None, **changed: object) -> None:
    """A copy is described like the source, but for what was changed."""
    source = described("whole")
    names = ("content_type", "content_encoding", "headers", "metadata", "tags")
    assert stored is not None
    ours = {"metadata": {name: text for name, text in stored.metadata.items() if not name.startswith("bulkhaul-")}}
    assert {name: ours.get(name, getattr(stored, name)) for name in names} == {
        **{name: getattr(source, name) for name in names},
        **changed,
    }


# On one service


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine before a fault server, for the tests of one module."""
    with serving_site(tmp_path_factory.mktemp("copies")) as site, engine_at(site) as running:
        yield running


def copy(rig: WriteRig, shape: Shape, *faults: Fault, options: ObjectOptions | None = None) -> Written:
    """Copy an object onto an old one under faults, and check the invariants."""
    rig.server.store.put("bucket", "source", described(shape))
    key, addressed = rig.new_key(*faults, old=OLD)
    work = lambda: rig.engine.copy("s3://bucket/source", f"s3://bucket/{key}", options)  # noqa: E731
    return rig.watch(work, key, BODIES[shape], addressed, OLD)


@SHAPES
def test_everything_is_kept(rig: WriteRig, shape: Shape) -> None:
    """A copy has the bytes, the metadata, the content headers and the tags of its source."""
    written = copy(rig, shape)
    assert written.succeeded().integrity == "checksum"
    assert_described(rig.server.store.get("bucket", written.key))
    assert len(written.of("UploadPartCopy")) == (0 if shape == "whole" else 5)


@pytest.mark.parametrize("echo", [True, False])
def test_service_that_knows_no_checksum_types(tmp_path: Path, *, echo: bool) -> None:
    """What it told of the parts that it copied is named at Complete: it demands that, as of parts that were sent."""
    with serving_site(tmp_path) as site, engine_at(site) as rig:
        rig.server.add_fault(NoChecksumTypes(echo=echo))
        body = BODIES["parts"]
        source = make_object(body, part_size_bytes=PART_BYTES, algorithm="CRC32", checksum_type="COMPOSITE")
        rig.server.store.put("bucket", "source", source)
        key, _ = rig.new_key(old=OLD)
        work = lambda: rig.engine.copy("s3://bucket/source", f"s3://bucket/{key}")  # noqa: E731
        written = rig.watch(work, key, body, [], OLD)
        assert written.succeeded().retries == 0
        copied = rig.server.store.get("bucket", key)
        assert copied is not None
        assert (copied.checksum_type, list(copied.checksums)) == ("COMPOSITE", ["CRC32"])


@SHAPES
def test_options_replace(rig: WriteRig, shape: Shape) -> None:
    """Options take the place of the source's description."""
    options = ObjectOptions(content=Content(content_type="text/new", metadata={"size": "big"}), tags={"a": "b"})
    written = copy(rig, shape, options=options)
    assert_described(
        rig.server.store.get("bucket", written.key),
        content_type="text/new", content_encoding=None, headers={}, metadata={"size": "big"}, tags={"a": "b"},
    )  # fmt: skip


#: Bytes of UTF-8, each taken for a letter, as HTTP libraries do.
ODD = {"Content-Disposition": "attachment; filename=\u00c3\u00a0 \u00e2\u0082\u00ac.pdf", "Expires": "never"}


@SHAPES
def test_what_no_caller_could_say_is_kept(rig: WriteRig, shape: Shape) -> None:
    """Headers beyond ASCII, and an Expires that is no date, are copied byte for byte: the service has stored them."""
    source = replace(described(shape), headers=ODD, metadata={"who": "J\u00c3\u00b6rg"})
    rig.server.store.put("bucket", "source", source)
    for options in (None, ObjectOptions(storage_class="STANDARD_IA")):
        key, _ = rig.new_key(old=OLD)
        rig.engine.copy("s3://bucket/source", f"s3://bucket/{key}", options)
        copied = rig.server.store.get("bucket", key)
        assert copied is not None
        assert (copied.headers, copied.body) == (ODD, BODIES[shape])
        assert copied.metadata["who"] == source.metadata["who"]


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@SHAPES
def test_what_no_caller_could_say_is_relayed(tmp_path: Path, shape: Shape, transport: str) -> None:
    """Between two services, too, by either transport."""
    with serving_site(tmp_path / "from") as there, serving_site(tmp_path / "to") as here:
        there.server.store.put("bucket", "source", replace(described(shape), headers=ODD))
        with engine_at(here, transport=transport) as rig:
            beside = msgspec.structs.replace(rig.engine.settings, endpoint_url=there.server.endpoint_url)
            rig.engine.copy("s3://bucket/source", "s3://bucket/copy", origin=rig.engine.beside(beside))
        copied = here.server.store.get("bucket", "copy")
        assert copied is not None
        assert (copied.headers, copied.body) == (ODD, BODIES[shape])


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_source_replaced_in_the_middle(rig: WriteRig, nth: int) -> None:
    """C32: parts of another object are never put together with those of the first: it fails, and is aborted."""
    rig.server.store.put("bucket", "source", described("parts"))
    key, _ = rig.new_key(old=OLD)
    operation = "UploadPartCopy"
    swap = Swap(operation=operation, key=key, attempt="every", nth=nth)
    rig.server.add_fault(swap)
    work = lambda: rig.engine.copy("s3://bucket/source", f"s3://bucket/{key}")  # noqa: E731
    written = rig.watch(work, key, BODIES["parts"], [swap], OLD)
    error = written.failed(errors.PreconditionFailed)
    assert error.subject == "s3://bucket/source"
    assert written.of("CompleteMultipartUpload") == []


def test_source_replaced_before_a_whole_copy(rig: WriteRig) -> None:
    """C32: CopyObject copies the object that HEAD saw, or nothing."""
    rig.server.store.put("bucket", "source", described("whole"))
    key, _ = rig.new_key(old=OLD)
    swap = Swap(operation="CopyObject", key=key)
    rig.server.add_fault(swap)
    work = lambda: rig.engine.copy("s3://bucket/source", f"s3://bucket/{key}")  # noqa: E731
    rig.watch(work, key, BODIES["whole"], [swap], OLD).failed(errors.PreconditionFailed)


class Swap(Fault):
    """Replaces the source just before a copy of it is made."""

    def before(self, exchange: Exchange) -> bool:
        """Change the store."""
        store_of(exchange).put("bucket", "source", make_object(BODIES["parts"][::-1]))
        return True


@SHAPES
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("how", ["error-with-200", "reply-lost", "500", "slow-down"])
def test_copy_recovered(rig: WriteRig, shape: Shape, how: str, applied: bool) -> None:
    """An error in a 200, a lost reply or a passing failure costs a second request and nothing else."""
    address: dict[str, Any] = (
        {"operation": "CopyObject"} if shape == "whole" else {"operation": "UploadPartCopy", "part": 2}
    )
    faults: dict[str, Fault] = {
        "error-with-200": ErrorXmlWith200(**address, applied=applied),
        "reply-lost": reply_lost(**address) if applied else CutReceiving(**address),
        "500": Status(code="InternalError", **address, applied=applied),
        "slow-down": storm(operation=address["operation"], times=2),
    }
    written = copy(rig, shape, faults[how])
    assert written.succeeded().integrity == "checksum"
    assert_described(rig.server.store.get("bucket", written.key))


@SHAPES
def test_copy_refused(rig: WriteRig, shape: Shape) -> None:
    """A copy that is refused leaves the old object, and no part."""
    operation = "CopyObject" if shape == "whole" else "UploadPartCopy"
    copy(rig, shape, Status(code="AccessDenied", operation=operation)).failed(errors.AccessDenied)
    copy(rig, shape, ErrorXmlWith200(operation=operation, attempt="every")).failed(errors.ServerError)


def test_no_source(rig: WriteRig) -> None:
    """C30: an absent source is NotFound about the source."""
    key, _ = rig.new_key(old=OLD)
    work = lambda: rig.engine.copy("s3://bucket/absent", f"s3://bucket/{key}")  # noqa: E731
    assert rig.watch(work, key, b"", [], OLD).failed(errors.NotFound).subject == "s3://bucket/absent"


def test_folder_of_journals_is_not_needed_for_a_small_one(tmp_path: Path) -> None:
    """A copy that the service makes alone leaves no trace on this machine."""
    with serving_site(tmp_path) as site, engine_at(site) as rig:
        copy(rig, "whole").succeeded()
        assert not site.state.exists()
