"""What the lines of a file of commands ask of the engine, and how the file is read."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import click
import pytest

from bulkhaul.cli.command_file.parsing import Prepared, prepared
from bulkhaul.cli.command_file.reading import MAX_LINE_BYTES, READ_BYTES, numbered_lines
from bulkhaul.cli.command_file.rows import Kind, row_of
from bulkhaul.cli.group import cli
from bulkhaul.errors import NotFound, TransferError, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.command_lines import plain_line, words_of
from tests.unit.test_cli import AskedEngine

DIRECTORY = ("x.gz", "y.txt", "sub/z.gz", ".hidden.gz")
TREE = ("same/1/x", "same/2/x", "object.gz", "a b", *(f"directory/{name}" for name in DIRECTORY))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with some files."""
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def work_of(line: str, *, dry_run: bool = False, **shared: Any) -> list[Prepared]:
    """Return the work of a line."""
    return prepared(words_of(line), click.Context(cli), shared, as_json=False, dry_run=dry_run)


def asked(line: str, **options: Any) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Return what a line asks of an engine."""
    engine = AskedEngine()
    for work in work_of(line, **options):
        assert work.job is not None
        list(work.job.results(engine))  # type: ignore[arg-type]
    return engine.calls


ONE = {"move": False, "version_id": "", "dry_run": False}
MANY = {"recursive": False, "include": (), "exclude": (), "move": False, "dry_run": False}
COPIED = {**MANY, "origin": None, "preserve": frozenset()}
FOLDER = {"include": (), "exclude": (), "follow_symlinks": None, "move": False, "dry_run": False}
DELETED = {
    "recursive": False,
    "literal": False,
    "include": (),
    "exclude": (),
    "all_versions": False,
    "version_id": "",
    "dry_run": False,
}
FILE = {"move": False, "dry_run": False}
NO_OPTIONS = ObjectOptions()

S5CMD = [
    ("cp s3://bucket/object.gz .", [("download", ("s3://bucket/object.gz", "."), ONE)]),
    (
        "cp s3://bucket/prefix/object.gz myobject.gz",
        [("download", ("s3://bucket/prefix/object.gz", "myobject.gz"), ONE)],
    ),
    ("cp 's3://bucket/logs/2020/03/*' logs/", [("download_many", ("s3://bucket/logs/2020/03/*", "logs/"), MANY)]),
    ("cp object.gz s3://bucket/", [("upload", ("object.gz", "s3://bucket/object.gz", NO_OPTIONS), FILE)]),
    (
        "cp -sse aws:kms -sse-kms-key-id key object.gz s3://bucket/",
        [("upload", ("object.gz", "s3://bucket/object.gz", ObjectOptions(sse="aws:kms", sse_kms_key_id="key")), FILE)],
    ),
    (
        "cp -acl bucket-owner-full-control object.gz s3://bucket/",
        [("upload", ("object.gz", "s3://bucket/object.gz", ObjectOptions(acl="bucket-owner-full-control")), FILE)],
    ),
    ("cp directory/ s3://bucket/", [("upload_many", ("directory/", "s3://bucket/", NO_OPTIONS), FOLDER)]),
    ("cp directory s3://bucket", [("upload_many", ("directory", "s3://bucket/directory", NO_OPTIONS), FOLDER)]),
    (
        'cp --exclude "*.txt" --exclude "*.gz" directory/ s3://bucket',
        [("upload_many", ("directory/", "s3://bucket", NO_OPTIONS), {**FOLDER, "exclude": ("*.txt", "*.gz")})],
    ),
    (
        'cp "directory/*.gz" s3://bucket/p/',
        [
            ("upload", ("directory/.hidden.gz", "s3://bucket/p/.hidden.gz", NO_OPTIONS), FILE),
            ("upload", ("directory/x.gz", "s3://bucket/p/x.gz", NO_OPTIONS), FILE),
        ],
    ),
    (
        "cp d*/s?b s3://bucket",
        [("upload_many", ("directory/sub", "s3://bucket/directory/sub", NO_OPTIONS), FOLDER)],
    ),
    (
        "rm s3://bucket/logs/2020/03/18/file1.gz",
        [("delete_many", (("s3://bucket/logs/2020/03/18/file1.gz",),), DELETED)],
    ),
    ("rm s3://bucket/logs/2020/03/19/*", [("delete_many", (("s3://bucket/logs/2020/03/19/*",),), DELETED)]),
    ("rm s3://bucket/logs/", [("delete_many", ((ObjectRef("bucket", "logs/"),),), DELETED)]),
    (
        "cp 's3://bucket/logs/2020/*' s3://bucket/logs/backup/",
        [("copy_many", ("s3://bucket/logs/2020/*", "s3://bucket/logs/backup/", None), COPIED)],
    ),
    (
        'cp --include "log*" "s3://bucket/*" s3://destbucket',
        [("copy_many", ("s3://bucket/*", "s3://destbucket", None), {**COPIED, "include": ("log*",)})],
    ),
    (
        "mv s3://bucket/2020/03/18/file1.gz s3://bucket/2020/03/18/original/file.gz",
        [
            (
                "copy",
                ("s3://bucket/2020/03/18/file1.gz", "s3://bucket/2020/03/18/original/file.gz", None),
                {**ONE, "origin": None, "preserve": frozenset(), "move": True},
            )
        ],
    ),
    ("cp --version-id ID s3://b/p/object .", [("download", ("s3://b/p/object", "."), {**ONE, "version_id": "ID"})]),
    ("s5cmd cp --sp s3://b/k .", [("download", ("s3://b/k", "."), ONE)]),
    ("cp 'a b' s3://bucket/k", [("upload", ("a b", "s3://bucket/k", NO_OPTIONS), FILE)]),
]


@pytest.mark.parametrize(("line", "calls"), S5CMD)
def test_the_lines_that_s5cmd_documents(line: str, calls: list[Any]) -> None:
    """The examples of its README and help pages mean here what they mean there."""
    assert asked(line) == calls


@pytest.mark.parametrize(
    "line",
    [
        "ls # all",
        "ls s3://b/p/",
        "presign --expire 24h s3://bucket/prefix/object",
        "du --humanize 's3://bucket/2020/*'",
        "head s3://b/k",
    ],
)
def test_the_lines_that_ask(line: str) -> None:
    """They have work, and no job."""
    (work,) = work_of(line)
    assert work.job is None
    assert work.work is not None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("cp --destination-region eu-west-1 f s3://b/k", "--destination-region"),
        ("cp --metadata-directive COPY --acl x --content-type a/b s3://b/k s3://b/l", "--content-type would replace"),
        ("cp --ignore-glacier-warnings s3://b/k f", "--ignore-glacier-warnings"),
        ("tree s3://b/k", "'tree' is no command"),
        ("AWS_REGION=x cp s3://b/k f", "'AWS_REGION' is no command"),
        ("--no-sign-request ls s3://b", "--no-sign-request is for all lines"),
        ("pipe s3://b/k", "that is the file of commands"),
        ("cat --json s3://b/k", "--json"),
        ("sync --delete object.gz s3://b/", "--delete means nothing for one object"),
        ("sync --job j directory/ s3://b/", "--job"),
        ("sync 'directory/*.gz' s3://b/", "--include takes other patterns"),
        ("sync directory/", "DEST"),
        ("cp --flatten 'same/*/x' s3://b/", "are one object"),
        ("cp s3://b/k -", "stdin and stdout"),
        ("cp - s3://b/k", "stdin and stdout"),
        ("cp --files-from - s3://b/ d", "stdin and stdout"),
        ("rm --files-from0 - s3://b/", "stdin and stdout"),
        ("cp --region x s3://b/k f", "--region is for all lines"),
        ("cp -c 5 s3://b/k f", "--concurrency is for all lines"),
        ("cp --part-size 8MiB s3://b/k f", "--part-size is for all lines"),
        ("cp --json s3://b/k f", "--json is for all lines"),
        ("rm --profile other s3://b/k", "--profile is for all lines"),
        ("rm s3://b/", "--recursive"),
        ("cp s3://b/k", "DEST"),
        ("cp a s3://b/k x", "both local"),
        ("cp --help", "--help"),
        ("cp 'directory/*.gz' s3://bucket/p", "must be a bucket, or end in a slash"),
        ("cp directory s3://bucket/p", "directory is a folder"),
        ("cp object.gz s3://", "bucket name is missing"),
        ("cp '*' s3://", "bucket name is missing"),
        ("rm '' s3://b/k", "s3://"),
        ("cp --acl x s3://b/k f", "--acl means nothing for a download"),
    ],
)
def test_what_a_line_cannot_be(line: str, says: str) -> None:
    """Nothing of a line is passed over: what does not exist is refused, and the error names it."""
    with pytest.raises(UsageError) as refused:
        work_of(line)
    assert says in str(refused.value)


def test_arguments_that_are_empty() -> None:
    """They are arguments as any other: what follows an option is its value, and not the next word."""
    assert asked("cp --cache-control '' object.gz s3://b/k") == asked("cp object.gz s3://b/k")


def test_lists(folder: Path) -> None:
    """A line may take a list from a file; its folder is then what the names are relative to."""
    (folder / "list").write_text("x.gz\n")
    for line in ("cp --files-from list directory s3://bucket", "mv --files-from list directory/ s3://bucket"):
        (work,) = work_of(line)
        assert work.job is not None
        assert work.job.destination == "s3://bucket"


def test_a_pattern_that_matches_no_file() -> None:
    """It is an error, as in s5cmd."""
    with pytest.raises(NotFound):
        work_of("cp *.none s3://bucket/")


def test_the_engine_is_that_of_run() -> None:
    """A line may repeat an option of run's, and what run was given reaches the engine beside it that a line needs."""
    shared: dict[str, Any] = {"region": "eu-west-1", "retry_for_s": 5.0}
    (work,) = work_of("cp --region eu-west-1 --source-profile p s3://b/k s3://c/", **shared)
    assert work.job is not None
    engine = AskedEngine()
    list(work.job.results(engine))  # type: ignore[arg-type]
    origin = engine.calls[0][2]["origin"]
    assert (origin.profile, origin.region, origin.retry_for_s) == ("p", "eu-west-1", 5.0)


@pytest.mark.parametrize("line", ["mb s3://made", "rb s3://gone", "tags set s3://b/k a=1", "tags rm s3://b/k"])
def test_what_has_no_dry_run_is_refused_in_one(line: str) -> None:
    """A dry run changes nothing: a line that would is an error of its own, and is not carried out."""
    with pytest.raises(UsageError, match="without doing it"):
        work_of(line, dry_run=True)
    assert work_of(line)
    assert work_of("tags get s3://b/k", dry_run=True)


@pytest.mark.parametrize(("line", "_calls"), S5CMD)
def test_dry_runs(line: str, _calls: list[Any]) -> None:
    """With run's option or with its own, a line does nothing; no line is told twice."""
    for calls in (asked(line, dry_run=True), asked(line.replace("cp ", "cp --dry-run ", 1), dry_run=True)):
        assert all(options["dry_run"] for _, _, options in calls)


@pytest.mark.parametrize(
    ("line", "kind", "source", "destination"),
    [
        ("cp s3://b/p/k new/f", Kind(Action.DOWNLOAD, False, "."), "s3://b/p/k", "new/f"),
        ("cp s3://b/p/k directory", Kind(Action.DOWNLOAD, False, "."), "s3://b/p/k", "directory/k"),
        ("mv s3://b/p/k new/", Kind(Action.DOWNLOAD, True, "."), "s3://b/p/k", "new/k"),
        ("cp s3://b/p/k .", Kind(Action.DOWNLOAD, False, "."), "s3://b/p/k", "k"),
        ("cp s3://b/p/k ./new//f", Kind(Action.DOWNLOAD, False, "."), "s3://b/p/k", "new/f"),
        ("cp s3://b/p/k f", Kind(Action.DOWNLOAD, False, "."), "s3://b/p/k", "f"),
        ("cp s3://b/p/k /nowhere/f", Kind(Action.DOWNLOAD, False, "/"), "s3://b/p/k", "/nowhere/f"),
        ("cp object.gz s3://b", Kind(Action.UPLOAD, False), "object.gz", "s3://b/object.gz"),
        ("mv directory/x.gz s3://b/p/", Kind(Action.UPLOAD, True), "directory/x.gz", "s3://b/p/x.gz"),
        ("cp s3://b/p/k s3://c/q/", Kind(Action.COPY, False), "s3://b/p/k", "s3://c/q/k"),
        ("mv s3://b/k s3://b/l", Kind(Action.COPY, True), "s3://b/k", "s3://b/l"),
        ("rm s3://b/p/k", Kind(Action.DELETE), "s3://b/p/k", ""),
    ],
)
def test_rows(line: str, kind: Kind, source: str, destination: str) -> None:
    """A plain line is a row, whose destination is the one that its command would find."""
    plain = plain_line(line)
    assert plain is not None
    assert row_of(plain, 7) == (kind, Row(n=7, action=kind.action, source=source, destination=destination))


@pytest.mark.parametrize(
    "line",
    ["cp directory s3://b/", "cp directory/ s3://b/", "cp s3://b/k ../f", "cp s3://b/k d/.", "cp s3://b/k linked/f"],
)
def test_what_is_no_row(folder: Path, line: str) -> None:
    """A folder, and a path that the engine would not follow below its root, are left to the command."""
    (folder / "linked").symlink_to("directory")
    plain = plain_line(line)
    assert plain is not None
    assert row_of(plain, 1) is None


def test_a_name_that_is_no_key(folder: Path) -> None:
    """A file whose name is no UTF-8 cannot give a key its name."""
    (folder / "\udcff").touch()
    plain = plain_line("cp \udcff s3://b/")
    assert plain is not None
    with pytest.raises(TransferError):
        row_of(plain, 1)


def read(content: bytes) -> list[tuple[int, str | None]]:
    """Return the lines of a file."""
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return [line for lines in numbered_lines(reading) for line in lines]
    finally:
        writer.join()
        os.close(reading)


def test_lines() -> None:
    """Lines are numbered from 1, also empty ones; the last one needs no newline; bytes that are no UTF-8 stay."""
    assert read(b"") == []
    assert read(b"\n\na\nb") == [(1, ""), (2, ""), (3, "a"), (4, "b")]
    assert read(b"\xef\xbb\xbfa\r\n\xff\n") == [(1, "a\r"), (2, "\udcff")]
    many = [f"rm s3://b/{number}" for number in range(READ_BYTES // 4)]
    assert read("\n".join(many).encode()) == list(enumerate(many, 1))


@pytest.mark.parametrize("tail", [b"", b"\nafter\n"], ids=["at the end", "before another"])
def test_a_line_without_an_end(tail: bytes) -> None:
    """A line that no memory could hold is given up, and the lines after it are read."""
    content = b"before\n" + bytes(3 * MAX_LINE_BYTES) + tail
    assert read(content) == [(1, "before"), (2, None), *([(3, "after")] if tail else [])]


@pytest.mark.parametrize(
    "line", ["--quiet ls s3://b", "--log error --quiet presign s3://b/k", "--numworkers 2 mb s3://bucket"]
)
def test_how_loud_a_line_is_that_only_answers(line: str) -> None:
    """What is typed before a command that has no such option is of no effect in a line, too."""
    (work,) = work_of(line)
    assert work.work is not None


def test_a_line_explains_nothing() -> None:
    """It would say what it does in place of doing it."""
    for line in ("cp --explain a s3://b/ x/", "rm --explain a s3://b/a", "sync --explain a s3://b/ x/"):
        with pytest.raises(UsageError, match="--explain goes with a command of its own"):
            work_of(line)
