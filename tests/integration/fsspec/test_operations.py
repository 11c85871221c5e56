"""The file system's operations beyond fsspec's suites: errors, options, transactions, pickling, many files at once."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import urllib.request
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.callbacks import Callback

from bulkhaul import Credentials, ObjectOptions
from bulkhaul.errors import NotFound, TransferError
from bulkhaul.fsspec import BulkhaulFileSystem, register
from bulkhaul.model.objects import Content
from tests.integration.fsspec.places import file_system, options
from tests.patience import PATIENCE_S
from tests.servers.process import RunningServer


def test_parts_are_cut_at_the_end_as_slices_are(fs: BulkhaulFileSystem) -> None:
    """Negative, open and too long ranges, one by one and many at once."""
    data = bytes(range(100))
    fs.pipe("bucket/parts", data)
    ranges: list[tuple[int | None, int | None]] = [
        (0, 10), (90, 200), (-5, None), (-200, 3), (10, -10), (None, -98), (200, 300), (7, None), (0, 0), (5, 2)
    ]  # fmt: skip
    for start, end in ranges:
        assert fs.cat_file("bucket/parts", start, end) == data[start:end], (start, end)
    starts, ends = map(list, zip(*ranges, strict=True))
    found = fs.cat_ranges(["bucket/parts"] * len(ranges), starts, ends, max_gap=10)
    assert found == [data[start:end] for start, end in ranges]


def test_failures_are_those_of_a_file_system(fs: BulkhaulFileSystem, server: RunningServer, tmp_path: Path) -> None:
    """Each with bulkhaul's own as its cause."""
    calls: list[Any] = [
        lambda: fs.cat_file("bucket/none"),
        lambda: fs.open("bucket/none"),
        lambda: fs.info("bucket/none"),
        lambda: fs.ls("no-such-bucket"),
        lambda: fs.get_file("bucket/none", str(tmp_path / "x")),
        lambda: fs.get(["bucket/none", "bucket/none2"], [str(tmp_path / "x"), str(tmp_path / "y")]),
        lambda: fs.cp_file("bucket/none", "bucket/copy"),
        lambda: fs.cat_file("bucket/none", 3, 9),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert isinstance(caught.value.__cause__, NotFound)
    with pytest.raises(FileNotFoundError):
        fs.rm("bucket/none")
    stranger = BulkhaulFileSystem(**options(server) | {"secret": "another-secret"})
    with pytest.raises(PermissionError) as refused:
        stranger.exists("bucket/none")
    assert isinstance(refused.value.__cause__, TransferError)
    assert "another-secret" not in str(refused.value)
    with pytest.raises(PermissionError):
        stranger.isdir("bucket")
    fs.pipe("bucket/full/x", b"x")
    with pytest.raises(IsADirectoryError):
        fs.rm("bucket/full")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("bucket/full")
    with pytest.raises(ValueError, match="mode 'rb'"):
        fs.open("bucket/x", "r+b")


def test_options(server: RunningServer) -> None:
    """Settings by name and s3fs's spellings; what is unknown or contradicts itself is refused."""
    assert fsspec.filesystem("bulkhaul", **options(server)) is file_system(server)
    named = BulkhaulFileSystem(
        endpoint_url=server.endpoint_url, region="us-east-1", credentials=Credentials(server.access_key, "wrong")
    )
    right = BulkhaulFileSystem(
        endpoint_url=server.endpoint_url,
        region="us-east-1",
        credentials=Credentials(server.access_key, server.secret_key),
    )
    assert named != right
    assert right.exists("bucket")
    with pytest.raises(PermissionError):
        named.ls("bucket")

    def given() -> Credentials:
        return Credentials(server.access_key, server.secret_key)

    assert BulkhaulFileSystem(endpoint_url=server.endpoint_url, region="us-east-1", credentials=given).exists("bucket")
    for wrong, said in (
        ({"endpoint": "http://127.0.0.1"}, "no such setting: endpoint; did you mean endpoint_url"),
        ({"client_kwargs": {"verify": False}}, "client_kwargs may hold"),
        ({"key": "a"}, "key= and secret="),
        ({"anon": True, "key": "a", "secret": "b"}, "anon=True goes with no credentials"),
        ({"workers": 1000}, "workers must be"),
    ):
        with pytest.raises(ValueError, match=said):
            BulkhaulFileSystem(**wrong)
    shown = repr(right) + right.to_json(include_password=False)
    assert server.secret_key not in shown
    assert server.access_key not in shown


def test_a_protocol_is_taken_over_on_request(server: RunningServer) -> None:
    """Others' URLs are bulkhaul's after register, and not before."""
    register("elsewhere")
    assert isinstance(fsspec.filesystem("elsewhere", **options(server)), BulkhaulFileSystem)
    fs, path = fsspec.core.url_to_fs("bulkhaul://bucket/a/b", **options(server))
    assert (type(fs), path) == (BulkhaulFileSystem, "bucket/a/b")
    assert BulkhaulFileSystem._strip_protocol("s3a://bucket/k/") == "bucket/k"


def test_files_are_written_and_appended_to(fs: BulkhaulFileSystem) -> None:
    """Text, options, exclusively, and appended: the headers of the object stay."""
    html = ObjectOptions(content=Content(content_type="text/html"))
    with fs.open("bucket/files/page", "w", options=html) as file:
        file.write("one\n")
    with fs.open("bucket/files/page", "ab") as file:
        assert file.tell() == 4
        file.write(b"two\n")
    with fs.open("bucket/files/page", "r") as file:
        assert file.read() == "one\ntwo\n"
    assert fs.info("bucket/files/page")["ContentType"] == "text/html"
    with fs.open("bucket/files/new", "xb") as file:
        file.write(b"mine")
        fs.pipe("bucket/files/new", b"theirs")  # meanwhile
        with pytest.raises(FileExistsError):
            file.close()
    assert fs.cat("bucket/files/new") == b"theirs"
    with contextlib.suppress(ZeroDivisionError), fs.open("bucket/files/failed", "wb") as file:
        file.write(b"x" * 5_000_000)
        raise ZeroDivisionError
    assert not fs.exists("bucket/files/failed")


def test_transactions(fs: BulkhaulFileSystem) -> None:
    """Nothing is there before the commit, and nothing at all after a failure."""
    large = os.urandom(6_000_000)
    with fs.transaction:
        for name, data in (("small", b"small"), ("large", large)):
            with fs.open(f"bucket/commit/{name}", "wb") as file:
                file.write(data)
        assert not fs.exists("bucket/commit")
    assert fs.cat("bucket/commit", recursive=True) == {"bucket/commit/small": b"small", "bucket/commit/large": large}
    with contextlib.suppress(ZeroDivisionError), fs.transaction:
        with fs.open("bucket/discarded/x", "wb") as file:
            file.write(large)
        raise ZeroDivisionError
    assert not fs.exists("bucket/discarded")


class Counted(Callback):
    """Keeps what it is told."""


def test_many_files_go_together(fs: BulkhaulFileSystem, tmp_path: Path) -> None:
    """Up and down again, told file by file, with one failure named."""
    bodies = {f"sub{n % 3}/{n}": os.urandom(n) for n in range(200)}
    for name, body in bodies.items():
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(body)
    told = Counted()
    fs.put(str(tmp_path / "up") + "/", "bucket/many/", recursive=True, callback=told)
    assert (told.size, told.value) == (200, 200)
    assert fs.du("bucket/many") == sum(map(len, bodies.values()))
    assert len(fs.glob("bucket/many/sub1/*")) == len(fs.find("bucket/many/sub1")) == 67
    told = Counted()
    fs.get("bucket/many/", str(tmp_path / "down") + "/", recursive=True, callback=told)
    assert (told.size, told.value) == (200, 200)
    down = {str(one.relative_to(tmp_path / "down")): one for one in (tmp_path / "down").rglob("*") if one.is_file()}
    assert {name: path.read_bytes() for name, path in down.items()} == bodies
    names = ["bucket/many/sub0/0", "bucket/many/none", "bucket/many/nor-this"]
    with pytest.raises(FileNotFoundError, match="many/none") as caught:
        fs.get(names, [str(tmp_path / f"list/{n}") for n in range(3)])
    assert caught.value.__notes__ == ["1 others failed, too"]
    fs.rm("bucket/many", recursive=True)
    assert not fs.exists("bucket/many")


def test_one_file_tells_its_bytes(fs: BulkhaulFileSystem, tmp_path: Path) -> None:
    """A callback of one file counts bytes."""
    fs.pipe("bucket/one", b"x" * 100_000)
    told = Counted()
    fs.get_file("bucket/one", str(tmp_path / "one"), callback=told)
    assert (told.size, told.value) == (100_000, 100_000)


def test_what_an_object_is_known_by(fs: BulkhaulFileSystem) -> None:
    """Times, keys of identity and signed URLs."""
    fs.pipe("bucket/known", b"1")
    before = fs.ukey("bucket/known"), fs.checksum("bucket/known")
    assert before == (fs.ukey("bucket/known"), fs.checksum("bucket/known"))
    assert fs.modified("bucket/known") == fs.created("bucket/known") == fs.info("bucket/known")["LastModified"]
    fs.pipe("bucket/known", b"22")
    assert before[0] != fs.ukey("bucket/known")
    assert before[1] != fs.checksum("bucket/known")
    with urllib.request.urlopen(fs.sign("bucket/known", expiration=60), timeout=PATIENCE_S) as reply:  # noqa: S310
        assert reply.read() == b"22"
    fs.touch("bucket/known")
    assert fs.size("bucket/known") == 0


def test_buckets(fs: BulkhaulFileSystem) -> None:
    """They are the folders at the top."""
    fs.mkdir("fresh-bucket")
    with pytest.raises(FileExistsError):
        fs.makedirs("bucket")
    fs.makedirs("bucket", exist_ok=True)
    assert {"bucket", "fresh-bucket"} <= set(fs.ls("", detail=False))
    assert fs.ls("fresh-bucket") == []
    fs.pipe("fresh-bucket/deep/x", b"x")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("fresh-bucket")
    fs.rm("fresh-bucket", recursive=True)
    assert not fs.exists("fresh-bucket")
    with pytest.raises(ValueError, match="all buckets"):
        fs.rm("", recursive=True)


def _in_child(fs: BulkhaulFileSystem, answers: Any) -> None:
    answers.put((fs.cat("bucket/shared"), fs.storage_options))


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_another_process(server: RunningServer, method: str) -> None:
    """An instance that is pickled is the same one here, and works elsewhere; so does one that a fork makes."""
    fs = file_system(server)
    fs.pipe("bucket/shared", b"shared")
    assert pickle.loads(pickle.dumps(fs)) is fs  # noqa: S301 - our own bytes
    context: Any = multiprocessing.get_context(method)
    answers = context.Queue()
    child = context.Process(target=_in_child if method == "spawn" else _remade, args=(fs, answers))
    child.start()
    try:
        assert answers.get(timeout=PATIENCE_S) == (b"shared", fs.storage_options)
        child.join(PATIENCE_S)
        assert child.exitcode == 0
    finally:
        child.kill()


def _remade(fs: BulkhaulFileSystem, answers: Any) -> None:
    _in_child(type(fs)(**fs.storage_options), answers)


def test_on_the_loop_of_a_program(server: RunningServer) -> None:
    """Coroutines work on any loop."""

    async def main() -> None:
        fs = file_system(server, asynchronous=True)
        await fs._pipe_file("bucket/loop", b"data")
        assert await fs._cat_file("bucket/loop", 1, 3) == b"at"
        with pytest.raises(FileNotFoundError):
            await fs._info("bucket/none")

    asyncio.run(main())
    asyncio.run(main())
