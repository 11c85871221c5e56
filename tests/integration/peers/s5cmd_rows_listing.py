"""Command lines of s5cmd 2.3 that move nothing: rm, ls, du, head, cat, presign, mb, rb."""

from __future__ import annotations

from tests.integration.peers.s5cmd_reasons import (
    DASHES,
    LITERAL_DESTINATION,
    LOCAL,
    MARKER,
    MORE_FILTERS,
    ONE_VERSION,
    OWN_OPTIONS,
    STATUS,
    VERSIONS,
)
from tests.integration.peers.s5cmd_rows import ONE, STARS, TREE, below, row

MAIN = {"a.txt": "33", "b.txt": "44", "d/main.py": "55", "main.c": "2", "main.py": "1"}

NESTED = {"file.txt": "1", "s/file.txt": "2", "s/s/file.txt": "3"}

LINES = {"dir/a": "1\n", "dir/b": "2\n", "dir/deep/c": "3\n", "top": "4\n"}

HISTORY = {"t.txt#1": "one", "t.txt#2": "two", "t.txt2#1": "three"}


def without(names: dict[str, str], *gone: str) -> dict[str, str]:
    """Return them without some."""
    return {name: body for name, body in names.items() if name not in gone}


REMOVED = (
    row("rm s3://{B}/a.txt", objects=MAIN, objects_after=without(MAIN, "a.txt")),
    row("rm s3://{B}/a.txt s3://{B}/b.txt", objects=MAIN, objects_after=without(MAIN, "a.txt", "b.txt")),
    row("rm 's3://{B}/*'", objects=MAIN, objects_after={}),
    row("rm s3://{B}/nothing", objects=MAIN),
    row("rm 's3://{B}/nothing*'", objects=MAIN, status=1),
    row("rm s3://{B}/main", objects=MAIN),
    row("rm s3://{B}/d/", objects=MAIN, ours_because=MARKER),
    row("rm s3://{B}", objects=MAIN, status=2, ours_because=STATUS),
    row("rm s3://{B}/", objects=MAIN, status=2, ours_because=STATUS),
    row(
        "rm --include '*.py' 's3://{B}/*'",
        objects=MAIN,
        objects_after=without(MAIN, "main.py", "d/main.py"),
    ),
    row(
        "rm --exclude '*.py' 's3://{B}/*'",
        objects=MAIN,
        objects_after={"main.py": "1", "d/main.py": "55"},
    ),
    row("rm --include 'main*' --exclude '*.py' 's3://{B}/*'", objects=MAIN, objects_after=without(MAIN, "main.c")),
    row(
        "rm --exclude '*.py' --include 'main*' 's3://{B}/*'",
        objects=MAIN,
        objects_after={"d/main.py": "55"},
        ours_because=MORE_FILTERS,
    ),
    row("rm --raw 's3://{B}/file*.txt'", objects=STARS, objects_after={"file1.txt": "2"}),
    row("rm --raw 's3://{B}/abc*'", objects={"abc*": "1", "abcd": "2"}, objects_after={"abcd": "2"}),
    row("rm --raw 's3://{B}/abc*/'", objects={"abc*/f": "1"}, ours_because=MARKER),
    row("rm -raw 's3://{B}/file*.txt'", objects=STARS, status=2, ours_because=DASHES),
    row("--dry-run rm 's3://{B}/*'", objects=MAIN),
    row("--json rm s3://{B}/file1.txt", objects=ONE, objects_after={}, prints='"operation"'),
    row(
        "rm --all-versions s3://{B}/t.txt",
        objects=HISTORY,
        versioned=True,
        objects_after={"t.txt2#1": "three"},
        ours_because=VERSIONS,
    ),
    row("rm --all-versions 's3://{B}/t*'", objects=HISTORY, versioned=True, objects_after={}),
    row("rm nonexistentfile", status=2, ours_because=STATUS),
    row("rm file", files={"file": "x"}, status=2, ours_because=LOCAL),
    row("rm in file", files={"file": "x", "in/f": "1"}, status=2, ours_because=LOCAL),
    row("rm in/", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("rm '*.txt'", files=MAIN, status=2, ours_because=LOCAL),
    row("rm 'abc*'", files={"abcd": "1", "abcf/x": "2"}, status=2, ours_because=LOCAL),
    row("rm --exclude '*.txt' in", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("rm --exclude 'main*' --exclude '*.c' in", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("rm --exclude 'a*' 'in/*.txt'", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("rm file s3://{B}/file1.txt", files={"file": "x"}, objects=ONE, status=2, ours_because=STATUS),
)

LISTED = (
    row("ls", prints="-ours\n"),
    row("ls s3://{B}"),
    row("ls s3://{B}", "ls of folders", objects=TREE, prints=" readme.md\n"),
    row("ls s3://{B}/readme.md", objects=TREE, prints=" 6 readme.md\n"),
    row("ls s3://{B}/nothing", objects=TREE, status=1),
    row("ls -e s3://{B}/file1.txt", objects=ONE, prints=" 9a0364b9e99bb480dd25e1f0284c8555 "),
    row("ls -s s3://{B}/file1.txt", objects=ONE, prints=" STANDARD "),
    row("ls -H s3://{B}/file1.txt", objects=ONE, prints=" file1.txt\n"),
    row("ls --exclude 'main*' 's3://{B}/*'", objects=MAIN, prints=" b.txt\n", omits=" main.c\n"),
    row("ls --exclude 'main*' s3://{B}", objects=MAIN, prints=" b.txt\n", omits=" main.c\n"),
    row("ls --exclude 'main*' --exclude '*.txt' s3://{B}", objects=MAIN, prints=" d/\n", omits=".txt"),
    row("ls --exclude '' s3://{B}", objects=MAIN, prints=" main.py\n"),
    row("ls --exclude s/s/file.txt 's3://{B}/*'", objects=NESTED, prints=" s/file.txt\n", omits="s/s"),
    row("ls --show-fullpath 's3://{B}/*'", objects=TREE, prints="/a/another.txt\n"),
    row("ls in", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("ls --exclude 'main*' in", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("ls --exclude 'main*' in/", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("ls --exclude 'main*' 'in/*'", files=below("in", MAIN), status=2, ours_because=LOCAL),
    row("ls nothing", status=1),
    row("--use-list-objects-v1 ls s3://{B}", objects=ONE, status=2, ours_because=OWN_OPTIONS),
    row("--no-sign-request ls s3://{B}", objects=ONE, prints=" file1.txt\n"),
    row("--request-payer requester ls s3://{B}", objects=ONE, prints=" file1.txt\n"),
    row("--json ls s3://{B}", objects=ONE, prints='"key": "file1.txt"'),
)

COUNTED = (
    row("du 's3://{B}/*'", objects=MAIN, prints="8 bytes in 5 objects: s3://"),
    row("du --exclude 'main*' 's3://{B}/*'", objects=MAIN, prints="6 bytes in 3 objects: s3://"),
    row("du --exclude 'main*' --exclude '*.txt' 's3://{B}/*'", objects=MAIN, prints="2 bytes in 1 object: s3://"),
    row(
        "du --all-versions s3://{B}/t.txt", objects={"t.txt#1": "1", "t.txt#2": "22"}, versioned=True, prints="3 bytes"
    ),
    row("du s3://{B}/nothing", objects=MAIN, prints="0 bytes in 0 objects"),
    row("du --version-id 1 s3://{B}/a.txt", objects=MAIN, status=2, ours_because=ONE_VERSION),
)

LOOKED_AT = (
    row("head", status=2, ours_because=STATUS),
    row("head s3://{B}/file1.txt", objects=ONE, prints="7"),
    row("head s3://{B}/nothing", objects=ONE, status=1),
    row("head s3://{B}", prints="bucket"),
    row("head --raw 's3://{B}/file*.txt'", objects=STARS, prints="file*.txt"),
    row("head 's3://{B}/file*.txt'", objects=STARS, ours_because=LITERAL_DESTINATION),
    row("presign s3://{B}/file1.txt", objects=ONE, prints="Signature="),
)

WRITTEN = (
    row("cat s3://{B}/top", objects=LINES, prints="4\n"),
    row("--json cat s3://{B}/top", objects=LINES, prints="4\n"),
    row("cat 's3://{B}/dir/*'", objects=LINES, prints="1\n2\n3\n"),
    row("cat s3://{B}/dir/", objects=LINES, prints="1\n2\n", omits="3"),
    row("cat s3://{B}/dir/deep/", objects=LINES, prints="3\n"),
    row("cat s3://{B}", objects=LINES, prints="4\n"),
    row("cat s3://{B}/", objects=LINES, prints="4\n"),
    row("cat s3://{B}", "cat of a bucket that is empty"),
    row("cat s3://{B}/", "cat of a bucket with a slash that is empty"),
    row("cat s3://{B}/dir", objects=LINES, status=1),
    row("cat s3://{B}/nothing/", objects=LINES, status=1),
    row("cat --version-id 1 's3://{B}/*'", objects=LINES, status=2, ours_because=STATUS),
    row("cat top", files={"top": "x"}, status=2, ours_because=STATUS),
)

LOOKING = (*REMOVED, *LISTED, *COUNTED, *LOOKED_AT, *WRITTEN)
