"""How an object is stored, said by one `ObjectOptions` on every put."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bulkhaul import LocalStore, MemoryStore, ObjectOptions, ObjectStore
from bulkhaul.errors import Unsupported, UsageError
from bulkhaul.model.objects import Content

from .wired import LARGE, Wired

HEADERS = Content(
    content_type="text/csv",
    content_disposition="inline",
    content_encoding="identity",
    content_language="de",
    cache_control="max-age=60",
    metadata={"owner": "Ann"},
)
Put = Callable[[ObjectStore, str, ObjectOptions, Path], object]


def put_bytes(store: ObjectStore, key: str, options: ObjectOptions, _folder: Path) -> object:
    """Store a body."""
    return store.put_bytes(key, b"body", options=options)


def put_path(store: ObjectStore, key: str, options: ObjectOptions, folder: Path) -> object:
    """Store a file."""
    (folder / "source").write_bytes(b"body")
    return store.put_path(key, folder / "source", options=options)


def put_if_absent(store: ObjectStore, key: str, options: ObjectOptions, _folder: Path) -> object:
    """Create an object."""
    return store.put_if_absent(key, b"body", options=options)


PUTS = pytest.mark.parametrize("put", [put_bytes, put_path, put_if_absent])


@PUTS
def test_headers_are_given_back(store: ObjectStore, put: Put, tmp_path: Path) -> None:
    """By every way of storing, with the metadata among them; a copy keeps them."""
    put(store, "key", ObjectOptions(content=HEADERS), tmp_path)
    assert store.head("key").content == HEADERS
    store.copy("key", "copy")
    assert store.head("copy").content == HEADERS


def test_disposition_and_metadata_beside_options_must_not_differ(store: ObjectStore, tmp_path: Path) -> None:
    """What is said twice and alike is said; what differs is refused before anything is stored."""
    (tmp_path / "source").write_bytes(b"")
    options = ObjectOptions(content=HEADERS)
    store.put_bytes("both", b"", content_disposition="inline", metadata={"Owner": "Ann"}, options=options)
    assert store.head("both").content == HEADERS
    store.put_bytes(
        "one", b"", metadata={"Owner": "Ann"}, options=ObjectOptions(content=Content(cache_control="no-store"))
    )
    assert store.head("one").content.cache_control == "no-store"
    assert store.head("one").metadata == {"owner": "Ann"}
    with pytest.raises(UsageError, match="content_disposition"):
        store.put_bytes("refused", b"", content_disposition="attachment", options=options)
    with pytest.raises(UsageError, match="metadata"):
        store.put_path("refused", tmp_path / "source", metadata={"owner": "Bob"}, options=options)
    assert not store.exists("refused")


@PUTS
@pytest.mark.parametrize(
    "options",
    [
        ObjectOptions(content=Content(content_type="a\r\nb")),
        ObjectOptions(storage_class="ü"),
        ObjectOptions(tags={str(number): "" for number in range(11)}),
        ObjectOptions(content=Content(metadata={"a": "b" * 2048})),
    ],
    ids=["header", "class", "tags", "metadata"],
)
def test_what_no_request_can_carry_is_refused(
    store: ObjectStore, put: Put, options: ObjectOptions, tmp_path: Path
) -> None:
    """A UsageError, and nothing is stored."""
    with pytest.raises(UsageError):
        put(store, "key", options, tmp_path)
    assert not store.exists("key")


@PUTS
@pytest.mark.parametrize("options", [ObjectOptions(storage_class="STANDARD_IA"), ObjectOptions(sse="AES256")])
def test_a_folder_refuses_what_it_cannot_keep(put: Put, options: ObjectOptions, tmp_path: Path) -> None:
    """Nothing is dropped in silence."""
    with LocalStore(tmp_path) as store:
        with pytest.raises(Unsupported, match="headers and metadata"):
            put(store, "key", options, tmp_path)
        assert not store.exists("key")


def test_memory_keeps_the_storage_class() -> None:
    """As a service tells it."""
    store = MemoryStore()
    store.put_bytes("key", b"", options=ObjectOptions(storage_class="STANDARD_IA"))
    assert store.head("key").storage_class == "STANDARD_IA"


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["one PUT", "in parts"])
@PUTS
def test_the_service_is_told_all_of_it(wire: Wired, put: Put, body: bytes, tmp_path: Path) -> None:
    """Storage class, tags, ACL and encryption go with the request that names the object."""
    options = ObjectOptions(
        content=Content(content_type="text/csv"), storage_class="STANDARD_IA", tags={"a": "b c"}, sse="AES256"
    )
    key = f"told {put.__name__} {len(body)}"
    if put is put_bytes:
        wire.store.put_bytes(key, body, options=options)
    else:
        put(wire.store, key, options, tmp_path)
    sent = wire.asked("PutObject", "CreateMultipartUpload", key=key)[0].headers
    assert sent["x-amz-storage-class"] == "STANDARD_IA"
    assert sent["x-amz-tagging"] in ("a=b%20c", "a=b+c")
    assert sent["x-amz-server-side-encryption"] == "AES256"
    assert sent["content-type"] == "text/csv"
