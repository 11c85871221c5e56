"""What requests and bytes of a plan count as."""

from __future__ import annotations

from msgspec.structs import replace

from bulkhaul.model.archives import Tier
from bulkhaul.model.limits import MIB
from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.policy.costs import by_class, route_of
from bulkhaul.policy.plan_totals import Totals


def row(action: Action, size_bytes: int) -> Row:
    """One row of a plan."""
    return Row(n=0, action=action, source="s3://b/k", destination="d", size=size_bytes)


def test_classes() -> None:
    """Amazon S3 pricing: PUT, COPY, POST, LIST; GET and all others; DELETE and CANCEL are free."""
    requests = {"HeadObject": 1, "GetObject": 2, "CreateMultipartUpload": 4, "UploadPartCopy": 8}
    others = {"DeleteObjects": 16, "ListObjectsV2": 32, "PutObject": 0}
    assert by_class(requests | others) == {"free": 16, "get": 3, "put": 44}
    assert by_class({}) == {}
    assert by_class({"RestoreObject": 3}) == {"retrieval": 3}  # "Data retrieval requests", by tier


def test_routes() -> None:
    """A relay reads and writes; a copy within the service moves nothing through this machine."""
    assert [route_of(action, relayed=False) for action in Action if action is not Action.SKIP][:4] == [
        "down", "up", "copied", None,
    ]  # fmt: skip
    assert route_of(Action.COPY, relayed=True) == "relayed"


def test_retrievals() -> None:
    """What lies in an archive is a request and its bytes, by the tier, where it is brought back; else nothing is."""
    rows = [
        replace(row(Action.DOWNLOAD, size), storage_class=name) for size, name in ((5, "GLACIER"), (7, "DEEP_ARCHIVE"))
    ]
    rows += [replace(row(Action.RESTORE, 11), storage_class="GLACIER"), row(Action.DOWNLOAD, 13)]
    rows += [replace(row(Action.DOWNLOAD, 17), storage_class="GLACIER_IR")]
    back, left = Totals(Settings(), tier=Tier.BULK), Totals(Settings())
    for totals in (back, left):
        totals.add(rows)
        assert (totals.archived_rows, totals.archived_bytes) == (3, 23)
    assert (back.retrieval_requests, back.retrieval_bytes) == ({"BULK": 3}, {"BULK": 23})
    assert back.requests == {**left.requests, "RestoreObject": 3}
    assert (left.retrieval_requests, left.retrieval_bytes) == ({}, {})


def test_parts_count() -> None:
    """Each part is a request of its own."""
    settings = Settings(part_size_bytes=8 * MIB, multipart_threshold_bytes=64 * MIB)
    within = Totals(settings)
    unconditional = replace(row(Action.DELETE, 0), size=None)
    within.add([row(Action.COPY, 80 * MIB), row(Action.COPY, 1 * MIB), unconditional])
    assert by_class(within.requests) == {"free": 1, "get": 2, "put": 10 + 2 + 1}
    assert within.routes == {"copied": 81 * MIB}
    relayed = Totals(settings, relayed=True)
    relayed.add([row(Action.COPY, 80 * MIB)])
    assert by_class(relayed.requests) == {"get": 1 + 10, "put": 10 + 2}
    assert relayed.routes == {"relayed": 80 * MIB}


def test_parts_grow() -> None:
    """An object that would have more than 10,000 parts has longer ones: of 21 MiB for 200 GiB."""
    totals = Totals(Settings())
    totals.add([row(Action.DOWNLOAD, 200 * 1024 * MIB)])
    assert totals.requests == {"GetObject": -(-200 * 1024 // 21), "HeadObject": 1}


def test_what_is_kept_is_read_twice() -> None:
    """Of the source before, and of the copy afterwards; a lock by one request for each of its two halves."""
    totals = Totals(Settings(), preserve=frozenset(Kept))
    totals.add([row(Action.COPY, 1), row(Action.COPY, 2)])
    assert totals.requests == {
        "CopyObject": 2,
        "GetObjectAcl": 4,
        "GetObjectLegalHold": 4,
        "GetObjectRetention": 4,
        "GetObjectTagging": 4,
        "HeadObject": 4,
    }
