"""Who answers a request in a worker: the lane where it can, the SDK where it must, and the lane again after that."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from bulkhaul.engine.messages.requests import (
    FIRST_GENERATION,
    Ask,
    Delete,
    Head,
    ListBuckets,
    PartChecksums,
    Presign,
    Resolve,
)
from bulkhaul.engine.worker.control import Control
from bulkhaul.engine.worker.sdk_on_demand import SdkOnDemand
from bulkhaul.errors import AccessDenied, NotFound, UsageError
from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectHead
from bulkhaul.model.writing import BucketsPage
from bulkhaul.policy.resolution import AskSdk
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.settled import Settled
from bulkhaul.wire.values import Credentials, Target
from tests.unit.canned import KEYS, Canned
from tests.unit.canned_lane import TARGET, CannedLane
from tests.unit.test_sdk_client import settings

LENGTH = {"Content-Length": "5", "ETag": '"e"'}


class Here(Settled):
    """What is settled: everything goes to the canned endpoint, or only the SDK knows where."""

    def __init__(self, target: Target | AskSdk, keys: Credentials | AskSdk = KEYS) -> None:
        self.told, self.keys = target, keys
        self.runs_process = False

    def target(self, bucket: str) -> Target | AskSdk:
        """Return where requests for a bucket go."""
        return self.told

    def service(self) -> Target | AskSdk:
        """Return where requests for no bucket go."""
        return self.told

    def credentials(self, generation: int, *, deadline_s: float) -> Credentials | AskSdk | None:
        """Return the keys."""
        return self.keys


class Answering:
    """A worker's control, with canned clients of either way."""

    def __init__(self, lane: CannedLane, sdk: Canned, settled: Settled | None = None) -> None:
        self.lane, self.sdk = lane, sdk
        self._settled = settled or Here(TARGET)

    def answer(self, request: Any, target: Target | None = None) -> tuple[object, Target | None]:
        """Return what the control answers."""

        async def asked() -> tuple[object, Target | None]:
            on_demand = SdkOnDemand(settings(), self.sdk.sdk)
            control = Control(settings(), self._settled, self.lane.sdk.lane, on_demand, 2)
            return await control.answer(Ask(1, request, target), -1, lambda _: None)

        return asyncio.run(asked())


def test_the_usual_request_is_the_lanes() -> None:
    """The SDK is not asked, and the answer tells where it came from."""
    worker = Answering(CannedLane((200, ""), headers=LENGTH), Canned())
    found, target = worker.answer(Head("bucket", "k"))
    assert isinstance(found, ObjectHead)
    assert (found.size, target, worker.sdk.sent) == (5, TARGET, [])


def test_what_lives_elsewhere_is_answered_by_the_sdk() -> None:
    """Its answer counts, and where it found the bucket comes along: the lane goes there from then on."""
    worker = Answering(CannedLane((301, "")), Canned((200, ""), headers=LENGTH))
    found, target = worker.answer(Head("bucket", "k"))
    assert isinstance(found, ObjectHead)
    assert target == TARGET
    _, target = worker.answer(Delete("bucket", "k"))
    assert target == TARGET, "a request that changes something tells it too"
    assert [one.method for one in worker.sdk.sent] == ["HEAD", "DELETE"]


def test_a_url_that_is_only_signed_tells_no_place() -> None:
    """Nobody has asked there: the bucket may live elsewhere, and a GET of it would be sent to the wrong region."""
    worker = Answering(CannedLane(), Canned())
    url, target = worker.answer(Presign("bucket", "k", 60))
    assert str(url).startswith("http://127.0.0.1:9/bucket/k?")
    assert (target, worker.lane.sent, worker.sdk.sent) == (None, [], [])


def test_a_refusal_is_final() -> None:
    """Only what only the SDK can follow is asked twice."""
    worker = Answering(CannedLane((403, "<Error><Code>AccessDenied</Code></Error>")), Canned((204, "")))
    with pytest.raises(AccessDenied):
        worker.answer(Delete("bucket", "k"))
    assert worker.sdk.sent == []


def test_a_target_that_was_learnt_comes_before_what_is_settled() -> None:
    """The coordinator knows where the SDK found the bucket, also where nothing is settled for it."""
    elsewhere = msgspec.structs.replace(TARGET, path_prefix="/there/")
    worker = Answering(CannedLane((200, ""), headers=LENGTH), Canned(), Here(AskSdk("an access point")))
    assert worker.answer(Head("bucket", "k"), elsewhere)[1] == elsewhere
    assert [one.path for one in worker.lane.sent] == ["/there/k"]


@pytest.mark.parametrize("learnt", [None, msgspec.structs.replace(TARGET, fast=False, why_not="a proxy")])
def test_a_bucket_that_only_the_sdk_resolves_is_the_sdks(learnt: Target | None) -> None:
    """The lane sends nothing."""
    worker = Answering(CannedLane(), Canned((200, ""), headers=LENGTH), Here(AskSdk("an access point")))
    assert isinstance(worker.answer(Head("bucket", "k"), learnt)[0], ObjectHead)
    assert (worker.lane.sent, len(worker.sdk.sent)) == ([], 1)


def test_what_the_lane_does_not_speak_is_the_sdks() -> None:
    """The parts that an object was uploaded in, for one."""
    head = ObjectHead("k", 9, '"e-2"', checksum=Checksum("CRC32", "AAAAAA==-2", ChecksumKind.COMPOSITE))
    worker = Answering(CannedLane(), Canned((404, "<Error><Code>NoSuchKey</Code></Error>")))
    with pytest.raises(NotFound):
        worker.answer(PartChecksums("bucket", head))
    assert (worker.lane.sent, len(worker.sdk.sent)) == ([], 1)


def test_buckets_are_listed_at_the_service() -> None:
    """Where that is settled; an endpoint with a path is the SDK's."""
    body = "<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>"
    service = msgspec.structs.replace(TARGET, path_prefix="/")
    worker = Answering(CannedLane((200, body)), Canned((200, body)), Here(service))
    for settled, by_lane in ((Here(service), 1), (Here(AskSdk("the endpoint has a path")), 1)):
        worker._settled = settled
        found, _ = worker.answer(ListBuckets())
        assert isinstance(found, BucketsPage)
        assert [one.name for one in found.buckets] == ["b"]
        assert len(worker.lane.sent) == by_lane
    assert [(one.path, one.method) for one in (*worker.lane.sent, *worker.sdk.sent)] == [("/", "GET")] * 2


def test_settled_keys_need_no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the answer; where they are not certain, the SDK's chain is."""
    worker = Answering(CannedLane(), Canned())
    assert worker.answer(Resolve(FIRST_GENERATION)) == (KEYS, None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFCHAIN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-chain")
    worker = Answering(CannedLane(), Canned(), Here(TARGET, AskSdk("the keys have ended")))
    found, _ = worker.answer(Resolve(FIRST_GENERATION))
    assert isinstance(found, Credentials)
    assert found.access_key == "AKIDOFCHAIN"


# The client on demand


def test_the_client_is_made_once_with_the_credentials_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, however many ask at once; keys that come later are its own, too."""
    made: list[int] = []
    making = SdkClient.__init__

    def counted(self: SdkClient, *arguments: Any) -> None:
        made.append(threading.get_ident())
        making(self, *arguments)

    monkeypatch.setattr(SdkClient, "__init__", counted)

    async def story() -> None:
        on_demand = SdkOnDemand(settings())
        on_demand.use(KEYS)
        first, second = await asyncio.gather(on_demand.client(), on_demand.client())
        assert first is second
        assert first.learned is on_demand.learned
        assert first._pushed is not None
        assert first._pushed.access_key == KEYS.access_key
        on_demand.use(Credentials("AKIDNEW", "secret-new"))
        assert first._pushed.access_key == "AKIDNEW"

    asyncio.run(story())
    assert len(made) == 1
    assert made != [threading.get_ident()]


def test_settings_that_cannot_be_used_are_told_by_the_request() -> None:
    """As they are where the forkserver makes the client."""
    with pytest.raises(UsageError, match="plain http"):
        asyncio.run(SdkOnDemand(settings(endpoint_url="http://store.example")).client())
