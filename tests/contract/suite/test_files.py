"""Objects as files, and copies between stores."""

from __future__ import annotations

import asyncio
import gc
import io
import warnings
from pathlib import Path

import pytest

import bulkhaul.aio
from bulkhaul import Credentials, LocalStore, MemoryStore, ObjectOptions, ObjectStore, S3Store
from bulkhaul.errors import NotFound, PreconditionFailed, UsageError
from bulkhaul.model.objects import Content
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN

from .bodies import made
from .subjects import Subject
from .wired import LARGE, SETTINGS, Wired, url_of

HEADERS = Content(content_type="text/csv", cache_control="no-store", metadata={"owner": "Ann"})


def test_an_object_is_written_and_read_as_a_file(subject: Subject) -> None:
    """With its headers; a reader can be sought and cannot write."""
    store, body = subject.store, made(subject.large_bytes)
    with store.open("dir/key", "wb", options=ObjectOptions(content=HEADERS)) as writer:
        for start in range(0, len(body), 100_000):
            assert writer.write(body[start : start + 100_000]) == len(body[start : start + 100_000])
        assert writer.tell() == len(body)
        assert not store.exists("dir/key")
    with pytest.raises(ValueError, match="closed file"):
        writer.tell()
    assert store.head("dir/key").content == HEADERS
    assert subject.pending_uploads() == []
    with store.open("dir/key") as reader:
        assert reader.read() == body
        assert reader.seek(-5, io.SEEK_END) == len(body) - 5
        assert reader.read(100) == body[-5:]
        with pytest.raises(io.UnsupportedOperation):
            reader.write(b"x")
    with store.open("empty", "wb"):
        pass
    assert store.get_bytes("empty") == b""


def test_nothing_is_stored_if_the_block_raises(subject: Subject) -> None:
    """What the key had stays, and nothing is left behind; so also after ``abort``, or if it is forgotten."""
    store = subject.store
    store.put_bytes("key", b"old")
    with pytest.raises(ZeroDivisionError), store.open("key", "wb") as writer:
        writer.write(b"new" * (1 // 0))
    with pytest.raises(TypeError), store.open("key", "wb") as writer:
        writer.writelines([b"new", "text"])  # type: ignore[list-item] # after the first one
    aborted = store.open("key", "wb")
    aborted.write(b"new")
    aborted.abort()  # type: ignore[attr-defined]
    aborted.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        store.open("key", "wb").write(b"new")
        gc.collect()
    assert store.get_bytes("key") == b"old"
    assert [info.key for info in store.list()] == ["key"]
    assert subject.pending_uploads() == []


def test_what_does_not_go_with_a_mode_is_refused(store: ObjectStore) -> None:
    """Before anything is asked; a missing object is not found when it is opened."""
    with pytest.raises(UsageError, match="TextIOWrapper"):
        store.open("key", "r")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="options"):
        store.open("key", options=ObjectOptions())
    with pytest.raises(UsageError, match="version"):
        store.open("key", "wb", version_id="v")
    with pytest.raises(NotFound):
        store.open("key")


def test_an_object_comes_from_any_store(subject: Subject, tmp_path: Path) -> None:
    """With headers and metadata; the source is named, and a missing one is not found."""
    body = made(subject.large_bytes)
    for source in (MemoryStore("other"), LocalStore(tmp_path)):
        source.put_bytes("from", body, options=ObjectOptions(content=HEADERS))
        name = "s3://other/from" if isinstance(source, MemoryStore) else str(tmp_path / "from")
        result = subject.store.copy_from(source, "from", "to")
        assert (result.key, result.source, result.destination) == ("to", name, subject.url("to"))
        assert subject.store.get_bytes("to") == body
        assert subject.store.head("to").content == HEADERS
        with pytest.raises(NotFound):
            subject.store.copy_from(source, "missing", "none")
        other = source.copy_from(subject.store, "to", "back")
        assert (other.key, other.source) == ("back", subject.url("to"))
        assert (source.get_bytes("back"), source.head("back").content) == (body, HEADERS)
    assert [info.key for info in subject.store.list()] == ["to"]


class Overwritten(MemoryStore):
    """A store whose object is overwritten as soon as it was opened."""

    def open(self, key: str, *more: object, **options: object) -> io.BufferedIOBase:
        opened = super().open(key, *more, **options)  # type: ignore[arg-type]
        self.put_bytes(key, b"another one")
        return opened


def test_a_source_that_is_overwritten_is_not_mixed(store: ObjectStore) -> None:
    """Headers of one version and bytes of another are never stored together."""
    source = Overwritten()
    source.put_bytes("from", b"one", metadata={"of": "one"})
    with pytest.raises(PreconditionFailed):
        store.copy_from(source, "from", "to")
    assert not store.exists("to")


def test_the_service_copies_between_its_buckets(wire: Wired) -> None:
    """From a store of the same endpoint and account, or from a URL: no byte passes here."""
    wire.server.store.add_bucket("second")
    with S3Store.from_url(url_of(wire.server, "second"), **SETTINGS) as second:
        second.put_bytes("from", LARGE[:100], metadata={"a": "b"})
        wire.forget()
        results = [
            wire.store.copy_from(second, "from", "to"),
            wire.store.copy_from("s3://second", "from", "to 2"),
        ]
        assert [one.source for one in results] == ["s3://second/from"] * 2
        assert wire.asked("GetObject", "PutObject") == []
        assert len(wire.asked("CopyObject")) == 2
        assert wire.store.head("to").metadata == {"a": "b"}
        with pytest.raises(NotFound) as caught:
            wire.store.copy_from(second, "missing", "to")
        assert caught.value.subject == "s3://second/missing"
    for url in ("second", "s3://", "s3://second/prefix", "http://second"):
        with pytest.raises(UsageError):
            wire.store.copy_from(url, "from", "to")
    with pytest.raises(UsageError, match=r"one of bulkhaul\.aio"):
        wire.store.copy_from(bulkhaul.aio.S3Store.from_url("s3://second"), "from", "to")  # type: ignore[arg-type]


def test_other_accounts_are_read_and_stored(wire: Wired) -> None:
    """A service cannot copy what another account reads; the async store does both, too."""
    given = Credentials(ACCESS_KEY, SECRET_KEY, TOKEN)
    with S3Store.from_url(url_of(wire.server), credentials=given, **SETTINGS) as other:
        other.put_bytes("from", b"across", metadata={"a": "b"})
        wire.forget()
        result = wire.store.copy_from(other, "from", "to")
        assert (result.source, wire.store.get_bytes("to")) == ("s3://bucket/from", b"across")
        assert wire.store.head("to").metadata == {"a": "b"}
        assert wire.asked("CopyObject") == []

    async def main() -> None:
        async with (
            bulkhaul.aio.S3Store.from_url(url_of(wire.server), credentials=given, **SETTINGS) as source,
            bulkhaul.aio.S3Store.from_url(url_of(wire.server), **SETTINGS) as store,
        ):
            await store.copy_from(source, "from", "async")
            memory = MemoryStore()
            memory.put_bytes("from", b"from memory")
            await store.copy_from(memory, "from", "async 2")
            assert await store.get_bytes("async") == b"across"
            assert await store.get_bytes("async 2") == b"from memory"

    asyncio.run(main())
