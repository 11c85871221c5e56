"""Endpoints that know ListObjects alone are listed, page after page, and asked in vain at most once a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.list_objects import list_folder, list_page
from tests.engines import Rig, running_rig
from tests.faultserver import FaultServer, OldListings, make_object
from tests.unit.test_sdk_client import settings

ODD = ("a b", "a+b", "a%41", "ä", "x/1", "x/2", "y/1", "z")


@pytest.fixture(params=[False, True], ids=["refused", "ignored"])
def server(request: pytest.FixtureRequest) -> Iterator[FaultServer]:
    """A fault server of that mind, with odd keys."""
    with FaultServer() as running:
        running.add_fault(OldListings(ignored=request.param))
        for key in ODD:
            running.store.put("bucket", f"p/{key}", make_object(b"x"))
        running.store.put("bucket", "q", make_object(b"y"))
        yield running


@pytest.fixture
def sdk(server: FaultServer) -> SdkClient:
    """A client of it."""
    return SdkClient(settings(endpoint_url=server.endpoint_url, sign_requests=False))


@pytest.mark.parametrize("max_keys", [1, 2, 3, 1000])
def test_all_pages_are_followed(server: FaultServer, sdk: SdkClient, max_keys: int) -> None:
    """Every key once, as it is, whatever the length of the pages; a token says by itself what it is of."""
    found, token, fresh = list[str](), "", sdk
    while True:
        page = list_page(fresh, "bucket", "p/", token, max_keys)
        found += [entry.key for entry in page.objects]
        if not (token := page.next_token):
            break
        # The next page may be asked for by another worker, which has learnt nothing yet.
        fresh = SdkClient(settings(endpoint_url=server.endpoint_url, sign_requests=False))
    assert sorted(found) == sorted(f"p/{key}" for key in ODD)


@pytest.mark.parametrize("after", ["p/a b", "p/m", "p/z"])
def test_a_page_may_begin_after_any_text(server: FaultServer, sdk: SdkClient, after: str) -> None:
    """Also where no key is called so; the marker of ListObjects stands for it."""
    list_page(sdk, "bucket", "p/", "", 1)  # a page that goes on tells which version the endpoint knows
    assert "ListObjects" in [one.operation for one in server.requests]
    page = list_page(sdk, "bucket", "p/", "", start_after=after)
    everything = sorted((f"p/{key}" for key in ODD), key=str.encode)
    assert [entry.key for entry in page.objects] == [key for key in everything if key > after]


def test_folders_are_folded(sdk: SdkClient) -> None:
    """A delimiter works as ever, and the listing goes on after a folder."""
    page = list_folder(sdk, "bucket", "p/", "")
    assert page.prefixes == ("p/x/", "p/y/")
    assert len(page.objects) == 5


def test_a_folder_goes_on_after_a_key_of_control_characters(server: FaultServer, sdk: SdkClient) -> None:
    """The marker of ListObjects is a key, and so it may be any text."""
    for number in range(1001):
        server.store.put("bucket", f"c/\x01\n{number:04}", make_object(b""))
    first = list_folder(sdk, "bucket", "c/", "")
    second = list_folder(sdk, "bucket", "c/", first.next_token)
    assert (len(first.objects), len(second.objects), second.next_token) == (1000, 1, "")


def test_it_is_learnt(server: FaultServer, sdk: SdkClient) -> None:
    """One request in vain, then ListObjects at once."""
    for _ in range(3):
        list_page(sdk, "bucket", "", "", 2)
    assert [one.operation for one in server.requests].count("ListObjectsV2") == 1


def test_an_engine_lists_it(tmp_path: Path) -> None:
    """A prefix is restored from such an endpoint, a page at a time."""

    def restored(rig: Rig) -> list[str]:
        for number in range(1203):
            rig.server.store.put("bucket", f"many/{number:04}", make_object(b""))
        results = list(rig.engine.download_many("s3://bucket/many/", rig.folder / "many"))
        assert [one.error for one in results if one.error] == []
        return sorted(one.key for one in results)

    with running_rig(tmp_path) as rig:
        rig.server.add_fault(OldListings())
        assert restored(rig) == [f"many/{number:04}" for number in range(1203)]
