"""Lists of keys and paths: what each line names, where it goes, and which lines make no sense."""

from __future__ import annotations

import itertools
import random

import pytest

from bulkhaul.errors import TransferError
from bulkhaul.model.rows import Action
from bulkhaul.policy.file_list import MAX_LINE_BYTES, Line, Lines, ListedNames

DOWN = ListedNames(action=Action.DOWNLOAD, source="s3://b/p/", destination="out/")
UP = ListedNames(action=Action.UPLOAD, source="in/", destination="s3://b/p/")
COPY = ListedNames(action=Action.COPY, source="s3://b/p/", destination="s3://c/q/")
GONE = ListedNames(action=Action.DELETE, source="s3://b/p/")


def entries(data: bytes, *, nul: bool = False, cuts: int = 0) -> list[tuple[int, bytes]]:
    """Return the numbered entries of a list that is read in pieces."""
    lines = Lines(nul=nul)
    at = [0, *sorted(random.Random(cuts).choices(range(len(data)), k=cuts)), len(data)] if data else [0, 0]
    found = [line for start, end in itertools.pairwise(at) for line in lines.feed(data[start:end])]
    return [(line.number, line.raw) for line in [*found, *lines.end()]]


@pytest.mark.parametrize("cuts", [0, 3, 11])
def test_lines(cuts: int) -> None:
    """They end in LF or CR LF; those that are empty or begin with # count, and are passed over."""
    data = b"\xef\xbb\xbfa\r\n\n# not this\nb c\n\r\n #d\r\nlast"
    assert entries(data, cuts=cuts) == [(1, b"a"), (4, b"b c"), (6, b" #d"), (7, b"last")]
    assert entries(data + b"\n", cuts=cuts) == entries(data, cuts=cuts)


@pytest.mark.parametrize("cuts", [0, 3, 11])
def test_names_that_nul_separates(cuts: int) -> None:
    """Nothing else means anything, and an empty name is one."""
    assert entries(b"a\n\0#b\0\0c\r\n\0\xef\xbb\xbf", nul=True, cuts=cuts) == [
        (1, b"a\n"), (2, b"#b"), (3, b""), (4, b"c\r\n"), (5, b"\xef\xbb\xbf"),
    ]  # fmt: skip


def test_a_line_without_an_end() -> None:
    """It is not held in memory, and the next one is read all the same."""
    lines = Lines(nul=False)
    for _ in range(100):
        assert lines.feed(b"x" * MAX_LINE_BYTES) == []
        assert len(lines._rest) <= MAX_LINE_BYTES + 1
    long, after = lines.feed(b"\nafter\n")
    assert after == Line(2, b"after")
    with pytest.raises(TransferError, match="more than"):
        DOWN.row(0, long)


@pytest.mark.parametrize(
    ("names", "line", "source", "destination"),
    [
        (DOWN, "a/b", "s3://b/p/a/b", "out/a/b"),
        (DOWN, "*?/", "s3://b/p/*?/", "out/*?/"),
        (DOWN, "./a", "s3://b/p/./a", "out/./a"),
        (DOWN, "s3://b/p/a/b", "s3://b/p/a/b", "out/a/b"),
        (DOWN, "s3://b/x/a/b", "s3://b/x/a/b", "out/b"),
        (DOWN, "a\tc/d", "s3://b/p/a", "out/c/d"),
        (DOWN, "a\t/abs/d", "s3://b/p/a", "/abs/d"),
        (DOWN, "a\ts3://x/y", "s3://b/p/a", "out/s3://x/y"),
        (UP, "a/b", "in/a/b", "s3://b/p/a/b"),
        (UP, "./a//b", "in/a/b", "s3://b/p/a/b"),
        (UP, "/a", "in/a", "s3://b/p/a"),
        (UP, "a\tb/", "in/a", "s3://b/p/b/"),
        (UP, "a\ts3://c/d", "in/a", "s3://c/d"),
        (COPY, "a", "s3://b/p/a", "s3://c/q/a"),
        (COPY, "s3://x/y/z\tw", "s3://x/y/z", "s3://c/q/w"),
        (COPY, "a\ts3://d/e", "s3://b/p/a", "s3://d/e"),
        (GONE, "a", "s3://b/p/a", ""),
        (GONE, "s3://x/y/", "s3://x/y/", ""),
        (ListedNames(action=Action.DELETE, source=""), "s3://x/y", "s3://x/y", ""),
        (ListedNames(action=Action.DELETE, source="s3://b/", pairs=False), "a\tb", "s3://b/a\tb", ""),
    ],
)
def test_what_a_line_names(names: ListedNames, line: str, source: str, destination: str) -> None:
    """Names are relative, or whole; those of keys are literal."""
    row = names.row(7, Line(1, line.encode()))
    assert (row.n, row.action, row.source, row.destination) == (7, names.action, source, destination)


@pytest.mark.parametrize(
    ("names", "raw", "why"),
    [
        (DOWN, b"a\xff", "not valid UTF-8"),
        (DOWN, b"a\0b", "NUL"),
        (DOWN, b"a\tb\tc", "more than one TAB"),
        (DOWN, b"\tb", "before or behind"),
        (DOWN, b"a\t", "before or behind"),
        (DOWN, b"s3://x/", "gives no name"),
        (DOWN, b"s3://x/a/..", "gives no name"),
        (UP, b"../a", "segment"),
        (UP, b"a/../../b", "segment"),
        (UP, b"a/", "a folder"),
        (UP, b"/", "a folder"),
        (UP, b"s3://b/a", "SRC is a folder"),
        (GONE, b"a\tb", "goes nowhere"),
        (ListedNames(action=Action.DELETE, source=""), b"a", "no s3:// URL"),
        (ListedNames(action=Action.DELETE, source="s3://b/", pairs=False), b"", "empty"),
    ],
)
def test_lines_that_make_no_sense(names: ListedNames, raw: bytes, why: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(TransferError, match=why):
        names.row(0, Line(1, raw))
