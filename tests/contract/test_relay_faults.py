"""Copies between two services with keys of their own: exact from end to end, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bulkhaul import errors
from bulkhaul.errors import TransferError
from bulkhaul.model.settings import Settings
from tests.contract.test_copy_faults import BODIES, OLD, SHAPES, Shape, assert_described, described
from tests.engines import aws_environment
from tests.faultserver import (
    Credentials,
    CutBody,
    CutReceiving,
    Fault,
    FaultServer,
    FlipBit,
    FlipReceivedBit,
    ReplaceObject,
    Status,
    StoredObject,
    make_object,
)
from tests.writing import WriteRig, Written, engine_at, serving_site, serving_writes, write_settings

OTHER_KEYS = Credentials("AKIDOTHER", "other-secret-77aa", accept_tokens=("other-token",))


class Relay:
    """Two fault servers with keys of their own, and an engine at each."""

    def __init__(self, origin: FaultServer, rig: WriteRig, beside: Any) -> None:
        self.origin = origin
        self.rig = rig
        self.beside = beside

    def copy(self, shape: Shape, stored: StoredObject, *faults: Fault, at_origin: tuple[Fault, ...] = ()) -> Written:
        """Relay an object onto an old one under faults of either side, and check the invariants."""
        key, addressed = self.rig.new_key(*faults, old=OLD)
        self.origin.store.put("bucket", key, stored)
        far = [replace(fault, key=key) for fault in at_origin]
        for fault in far:
            self.origin.add_fault(fault)
        url = f"s3://bucket/{key}"
        written = self.rig.watch(
            lambda: self.rig.engine.copy(url, url, origin=self.beside), key, BODIES[shape], addressed, OLD
        )
        assert [fault for fault in far if not self.origin.fired(fault)] == []
        return written


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A relay from a service with other keys, for the tests of one module."""
    variables = {
        "AWS_ACCESS_KEY_ID": OTHER_KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": OTHER_KEYS.secret_key,
        "AWS_SESSION_TOKEN": "other-token",
    }
    folder = tmp_path_factory.mktemp("relay")
    with (
        serving_writes(credentials=OTHER_KEYS) as origin,
        serving_site(folder) as site,
        engine_at(site) as rig,
    ):
        with aws_environment(variables):
            beside = rig.engine.beside(Settings(endpoint_url=origin.endpoint_url, **write_settings(folder / "far")))
            origin.store.put("bucket", "known", make_object(b"known"))
            rig.engine.copy("s3://bucket/known", "s3://bucket/known", origin=beside)
        yield Relay(origin, rig, beside)


@SHAPES
def test_relay_is_exact(relay: Relay, shape: Shape) -> None:
    """An object passes from one service to another whole, described alike, its checksum proven from end to end."""
    written = relay.copy(shape, described(shape))
    assert written.succeeded().integrity == "checksum"
    assert_described(relay.rig.server.store.get("bucket", written.key))


def test_relay_of_nothing(relay: Relay) -> None:
    """An empty object is relayed too."""
    key, _ = relay.rig.new_key(old=OLD)
    relay.origin.store.put("bucket", key, make_object(b""))
    url = f"s3://bucket/{key}"
    work = lambda: relay.rig.engine.copy(url, url, origin=relay.beside)  # noqa: E731
    assert relay.rig.watch(work, key, b"", [], OLD).succeeded().size == 0


@SHAPES
def test_relay_flip_at_the_source(relay: Relay, shape: Shape) -> None:
    """A bit that flips on the way from the source fails the copy by the source's checksum; nothing is stored."""
    written = relay.copy(shape, described(shape), at_origin=(FlipBit(offset=777),))
    error = written.failed(errors.IntegrityError)
    assert described(shape).checksums["CRC64NVME"] in str(error)
    assert written.of("CompleteMultipartUpload") == []


@SHAPES
def test_relay_flip_at_the_destination(relay: Relay, shape: Shape) -> None:
    """A bit that flips on the way to the destination is noticed there, and the part is sent again."""
    operation = "PutObject" if shape == "whole" else "UploadPart"
    written = relay.copy(shape, described(shape), FlipReceivedBit(operation=operation, times=1))
    assert written.succeeded().integrity == "checksum"
    assert written.succeeded().retries >= 1  # on a busy machine a part may have stalled as well


@SHAPES
def test_relay_recovered(relay: Relay, shape: Shape) -> None:
    """Passing faults of both sides at once cost time and nothing else."""
    operation = "PutObject" if shape == "whole" else "UploadPart"
    written = relay.copy(
        shape, described(shape), CutReceiving(operation=operation, after_bytes=1000),
        at_origin=(CutBody(after_bytes=1000),),
    )  # fmt: skip
    assert written.succeeded().integrity == "checksum"


@pytest.mark.parametrize("nth", [2, 4])
def test_relay_of_a_source_that_is_replaced(relay: Relay, nth: int) -> None:
    """Parts of two objects never make one: the copy fails as PreconditionFailed about the source, and is aborted."""
    swap = ReplaceObject(replacement=BODIES["parts"][::-1], operation="GetObject", nth=nth)
    written = relay.copy("parts", described("parts"), at_origin=(swap,))
    written.failed(errors.PreconditionFailed)
    assert written.of("CompleteMultipartUpload") == []


@SHAPES
@pytest.mark.parametrize(
    ("fault", "kind"),
    [("AccessDenied", errors.AccessDenied), ("InternalError", errors.ServerError)],
)
def test_relay_to_a_destination_that_fails(relay: Relay, shape: Shape, fault: str, kind: type[TransferError]) -> None:
    """A destination that refuses keeps its old object, and no part."""
    operation = "PutObject" if shape == "whole" else "UploadPart"
    relay.copy(shape, described(shape), Status(code=fault, operation=operation, attempt="every")).failed(kind)


def test_relay_from_a_source_that_fails(relay: Relay) -> None:
    """A source that refuses in the middle ends the copy by its name."""
    refusal = Status(code="AccessDenied", operation="GetObject", attempt="every", nth=3)
    relay.copy("parts", described("parts"), at_origin=(refusal,)).failed(errors.AccessDenied)
