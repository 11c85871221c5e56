"""The lines of ls and du, and what their command lines may say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bulkhaul.cli.commands.head import object_fields, people_text
from bulkhaul.cli.commands.ls import Listing, list_buckets
from bulkhaul.cli.group import cli
from bulkhaul.cli.listing_lines import (
    Shown,
    Totals,
    folder_json,
    folder_lines,
    object_json,
    object_lines,
    total_json,
    total_lines,
    version_lines,
)
from bulkhaul.errors import InvalidUrl
from bulkhaul.model.objects import Checksum, Content, ObjectHead
from bulkhaul.model.writing import ObjectVersion
from bulkhaul.policy.selection import Source, parse_listing

HOSTILE = "run/\x1b[2J\nPRE fake\u202e"


def test_hostile_keys_stay_on_their_line() -> None:
    """A key cannot forge a line or drive the terminal; as JSON it is told exactly, in ASCII."""
    lines = object_lines([ObjectHead(HOSTILE, 1, last_modified=datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC))])
    assert lines == "2024-05-17 12:34:56Z          1 run/\\x1b[2J\\x0aPRE fake\\u202e\n"
    told = object_json("b", [ObjectHead(HOSTILE, 1)]) + folder_json("b", [HOSTILE + "/"])
    assert told.isascii()
    assert [json.loads(line)["key"] for line in told.splitlines()] == [HOSTILE, HOSTILE + "/"]


def test_objects_as_json() -> None:
    """Every field that was promised is there; the standard class has its name."""
    head = ObjectHead("k", 5, etag='"e"', last_modified=datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC), version_id="v")
    assert json.loads(object_json("b", [head])) == {
        "type": "object",
        "bucket": "b",
        "key": "k",
        "size": 5,
        "etag": '"e"',
        "last_modified": "2024-05-17T12:34:56+00:00",
        "version_id": "v",
        "storage_class": "STANDARD",
    }


def test_unknown_times_and_large_sizes_keep_the_columns() -> None:
    """A time that is not told leaves its column empty, and a size that is longer than its column is whole."""
    assert object_lines([ObjectHead("k", 12345678901)]) == " " * 20 + " 12345678901 k\n"
    assert object_lines([ObjectHead("k", 1536)], Shown(human=True)) == " " * 20 + "    1.5 KiB k\n"


def test_classes_and_etags_stand_before_the_size() -> None:
    """In columns that any class and the ETag of an upload in parts fit into; names keep one column, folders' too."""
    shown = Shown(etag=True, storage_class=True)
    etag = f"{'0' * 32}-9"
    one = ObjectHead("d/k", 5, f'"{etag}"', storage_class="INTELLIGENT_TIERING")
    line = object_lines([one], shown, cut=2)
    assert line == f"{' ' * 20} INTELLIGENT_TIERING {etag}          5 k\n"
    assert folder_lines(["d/e/"], shown, cut=2).index("e/") == line.index("k")


def test_versions() -> None:
    """A version's id stands before its key; a delete marker is called one."""
    found = [ObjectVersion("k", "v2", 0, delete_marker=True), ObjectVersion("k", "", 7)]
    assert version_lines(found) == f"{' ' * 20}    DELETED v2 k\n{' ' * 20}          7 null k\n"


def test_totals() -> None:
    """Totals count every size once, for people as aws-cli does."""
    totals = Totals()
    totals.add([1, 2])
    totals.add([1024])
    assert total_lines(totals, human=False) == "\nTotal Objects: 3\n   Total Size: 1027\n"
    assert json.loads(total_json(totals)) == {
        "type": "summary",
        "operation": "summary",
        "success": True,
        "objects": 3,
        "bytes": 1027,
    }


@pytest.mark.parametrize(
    ("url", "prefix", "pattern"),
    [
        ("s3://b", "", ""),
        ("s3://b/", "", ""),
        ("s3://b/run", "run", ""),
        ("s3://b/run/", "run/", ""),
        ("s3://b/run/a*.g?", "run/a", "run/a*.g?"),
        ("s3://b/*", "", "*"),
    ],
)
def test_a_prefix_is_cut_at_no_slash(url: str, prefix: str, pattern: str) -> None:
    """A listing takes its prefix as it is, up to the first wildcard."""
    assert parse_listing(url) == Source("b", prefix=prefix, pattern=pattern, many=True)


@pytest.mark.parametrize("url", ["b/run", "s3://", "/data"])
def test_what_is_no_url(url: str) -> None:
    """What is not s3://bucket is refused."""
    with pytest.raises(InvalidUrl):
        parse_listing(url)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ls", "./bucket"], "begins with no bucket"),
        (["ls", "gs://bucket"], "begins with no bucket"),
        (["ls", "s3://", "--recursive"], "need s3://BUCKET"),
        (["presign", "/bucket/k"], "begins with no bucket"),
        (["ls", "--recursive"], "need s3://BUCKET"),
        (["ls", "--all-versions"], "need s3://BUCKET"),
        (["ls", "--summarize"], "need s3://BUCKET"),
        (["du"], "Missing argument"),
        (["du", "--group", "--all-versions", "s3://b"], "--group cannot be had"),
        (["head"], "Missing argument"),
        (["head", "--version-id", "v", "s3://b"], "--version-id needs a key"),
        (["rm"], "Missing argument"),
        (["rm", "s3://b"], "add --recursive"),
        (["rm", "s3://b/"], "add --recursive"),
        (["rm", "s3://b/k", "/data/file"], "must begin with s3://"),
        (["ls", "--include", "*"], "filters need s3://BUCKET"),
        (["ls", "-e", "--all-versions", "s3://b/k"], "cannot be had with --show-fullpath or --all-versions"),
        (["ls", "-s", "--show-fullpath", "s3://b/k"], "cannot be had with --show-fullpath or --all-versions"),
        (["rm", "--version-id", "v", "s3://b/k", "s3://b/l"], "exactly one key"),
        (["rm", "--version-id", "v", "s3://b/k*"], "exactly one key"),
        (["rm", "--version-id", "v", "--all-versions", "s3://b/k"], "exactly one key"),
        (["presign", "s3://b"], "must name one object"),
        (["presign", "--expires-in", "0", "s3://b/k"], "1 second to 7 days"),
        (["presign", "--expires-in", "604801", "s3://b/k"], "1 second to 7 days"),
        (["presign", "--expires-in", "8d", "s3://b/k"], "1 second to 7 days"),
        (["presign", "--expires-in", "soon", "s3://b/k"], "is not a span of time"),
        (["presign", "--expires-in", "1.5", "s3://b/k"], "is not a span of time"),
        (["presign", "--expires-in", "-5", "s3://b/k"], "is not a span of time"),
        (["cleanup", "--older-than", "7d"], "needs s3://BUCKET"),
        (["cleanup", "--older-than", "x", "s3://b"], "is not a span of time"),
        (["cleanup", "--yes", "--dry-run"], "contradict each other"),
        (["cleanup", "bucket"], "must begin with s3://"),
        (["ls", "--sse-c", "AES256", "s3://b"], "--sse-c-key"),
        (["ls", "--endpoint-url", "http://me:secret@127.0.0.1:9", "s3://b"], "--endpoint-url must hold no user"),
        (["doctor"], "Missing argument"),
        (["doctor", "https://b"], "must begin with s3://"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["ls", "--endpoint-url", "http://127.0.0.1:9", "--addressing-style", "x", "s3://b"], "--addressing-style"),
    ],
)
def test_command_lines_that_mean_nothing(monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str) -> None:
    """They exit with 2 and say why, before any process is started."""

    def started() -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("bulkhaul.engine.pool.forkserver_process.ForkserverProcess", started)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    assert says in result.output


@pytest.mark.parametrize("name", ["ls", "head", "rm", "du", "presign", "cleanup", "doctor", "completion"])
def test_help_has_examples_and_exit_codes(name: str) -> None:
    """Each page shows how it is used, and names its options and exit codes."""
    page = CliRunner().invoke(cli, [name, "--help"]).output
    assert f"  bulkhaul {name}" in page
    assert ("Examples:" in page and "Exit code: 0" in page and "--endpoint-url" in page) or name == "completion"


def test_what_is_told_of_an_object() -> None:
    """Bucket, key and size come first; an empty object has a size, and what is unknown is left out."""
    info = ObjectHead(
        "k",
        0,
        etag='"e"',
        checksum=Checksum("CRC32C", "AAAAAA=="),
        content=Content(content_type="text/plain", metadata={"b": "2", "a\n": "1"}),
        encryption="aws:kms",
        tags=2,
    )
    told = object_fields("b", info)
    assert list(told)[:3] == ["bucket", "key", "size"]
    assert people_text(told).splitlines() == [
        "bucket: b",
        "key: k",
        "size: 0",
        'etag: "e"',
        "content_type: text/plain",
        "checksum.algorithm: CRC32C",
        "checksum.value: AAAAAA==",
        "checksum.type: FULL_OBJECT",
        "storage_class: STANDARD",
        "encryption: aws:kms",
        "tags: 2",
        "metadata.a\\x0a: 1",
        "metadata.b: 2",
    ]


@pytest.mark.parametrize("kind", ["buckets", "objects", "folder", "versions"])
def test_pages_are_closed_with_the_output(kind: str) -> None:
    """A listing whose output is lost has let go of its requests before its failure is told."""
    closed = []

    async def pages(*_words: str, **_options: bool) -> AsyncGenerator[Any, None]:
        try:
            while True:
                yield ([], []) if kind == "folder" else []
        finally:
            closed.append(kind)

    async def write(_text: str) -> None:
        raise BrokenPipeError

    control = SimpleNamespace(buckets=pages, pages=pages, folder=pages, versions=pages)
    engine: Any = SimpleNamespace(control=control)
    out: Any = SimpleNamespace(write=write)

    async def listed() -> None:
        listing = Listing(Source("b", many=True), out, shown=Shown(), as_json=False)
        try:
            await (list_buckets(engine, out, as_json=False) if kind == "buckets" else getattr(listing, kind)(engine))
        except BrokenPipeError:
            assert closed == [kind]
            raise

    with pytest.raises(BrokenPipeError):
        asyncio.run(listed())
