"""Command lines of s5cmd 2.3, as its README and its own tests have them; names and contents are ours.

``s5cmd_rows_listing`` has those of the commands that move nothing.
"""

from __future__ import annotations

from typing import Any

from tests.integration.peers.s5cmd_reasons import (
    CHARSET,
    CLOSED,
    DESTINATION,
    FOLDER,
    HIDDEN,
    LITERAL_DESTINATION,
    LOOPS,
    ODD_KEYS,
    OWN_OPTIONS,
    SEVERAL,
    STATUS,
    TYPE_BY_NAME,
    UNITS,
)
from tests.integration.peers.scenario import Row

TREE = {"a/another.txt": "another", "b/hyphen-ated.gz": "hyphen", "readme.md": "readme", "testfile1.txt": "test"}
"""Objects, or files, in folders and beside them."""

DEEP = {"a/b/c.txt": "1", "a/d.txt": "2", "e.txt": "3", "f.md": "4"}

PAGE = {"index": "<html><head><title>t</title></head></html>\n"}

KMS = "1234abcd-12ab-34cd-56ef-1234567890ab"

STARS = {"file*.txt": "1", "file1.txt": "2"}

ONE = {"file1.txt": "content"}


def below(folder: str, names: dict[str, str]) -> dict[str, str]:
    """Return them below a folder."""
    return {f"{folder}/{name}": body for name, body in names.items()}


def flat(names: dict[str, str]) -> dict[str, str]:
    """Return them without their folders."""
    return {name.rpartition("/")[2]: body for name, body in names.items()}


def copied(objects: dict[str, str], place: str, *, names: dict[str, str] | None = None) -> dict[str, str]:
    """Return objects, and what stands beside them after they, or others, were copied to a place."""
    return objects | {f"{place}{name}": body for name, body in (objects if names is None else names).items()}


def row(theirs: str, name: str = "", **more: Any) -> Row:
    """Return a row that is called as its command line is, unless it has a name."""
    return Row(name=name or theirs, theirs=theirs, **more)


IN = below("in", TREE)

DOWN = (
    row("cp s3://{B}/file1.txt .", objects=ONE, files_after=ONE),
    row("cp s3://{B}/file1.txt dir/", objects=ONE, files_after=below("dir", ONE)),
    row("cp s3://{B}/file1.txt dir/file2.txt", objects=ONE, files_after={"dir/file2.txt": "content"}),
    row(
        "cp s3://{B}//a/b///c////file1.txt dir/",
        objects={"/a/b///c////file1.txt": "content"},
        files_after=below("dir", ONE),
    ),
    row(
        "cp s3://{B}//a/b///c////file1.txt dir/file1.txt",
        objects={"/a/b///c////file1.txt": "content"},
        files_after=below("dir", ONE),
    ),
    row("cp s3://{B}/file1.txt '*'", objects=ONE, files_after={"*": "content"}, ours_because=LITERAL_DESTINATION),
    row("cp s3://{B}/a/ .", objects=TREE, status=2, ours_because=STATUS),
    row("cp 's3://{B}/a*' new", objects=TREE, files_after={"new/a/another.txt": "another"}),
    row("cp 's3://{B}/a/*' new", objects=TREE, files_after={"new/another.txt": "another"}),
    row("cp 's3://{B}/nothing*' .", objects=TREE, status=1),
    row(
        "cp --include 'file*' --exclude '*.py' 's3://{B}/*' .",
        objects={"a.py": "1", "file.py": "2", "file.txt": "3"},
        files_after={"file.txt": "3"},
    ),
    row("cp --exclude '*.py' 's3://{B}/*' .", objects={"a.py": "1"}),
    row("cp --flatten 's3://{B}/*' .", objects=DEEP, files_after=flat(DEEP)),
    row("--json cp --flatten 's3://{B}/*' .", objects=DEEP, files_after=flat(DEEP), prints='"operation"'),
    row("cp --flatten 's3://{B}/*.txt' .", objects=DEEP, files_after={"c.txt": "1", "d.txt": "2", "e.txt": "3"}),
    row("cp --flatten 's3://{B}/*/*.txt' .", objects=DEEP, files_after={"c.txt": "1", "d.txt": "2"}),
    row(
        "cp 's3://{B}/*' .",
        "cp of an archived object among others",
        objects={"a": "1", "g": "archived"},
        put={"g": {"StorageClass": "GLACIER"}},
        files_after={"a": "1"},
        status=1,
    ),
    row(
        "cp --ignore-glacier-warnings 's3://{B}/*' .",
        objects={"a": "1", "g": "archived"},
        put={"g": {"StorageClass": "GLACIER"}},
        status=2,
        ours_because=OWN_OPTIONS,
    ),
    row("cp --force-glacier-transfer s3://{B}/file1.txt .", objects=ONE, files_after=ONE),
    row("cp --show-progress s3://{B}/file1.txt .", objects=ONE, status=2, ours_because=OWN_OPTIONS),
    row("cp --part-size 50 s3://{B}/file1.txt .", objects=ONE, status=2, ours_because=UNITS),
    row("--stat cp s3://{B}/file1.txt .", objects=ONE, status=2, ours_because=OWN_OPTIONS),
    row("--numworkers 4 --log error --no-verify-ssl cp s3://{B}/file1.txt .", objects=ONE, files_after=ONE),
)

UP = (
    row("cp in/readme.md s3://{B}/", files=IN, objects_after={"readme.md": "readme"}),
    row("cp in/ s3://{B}/", files=IN, objects_after=TREE),
    row("cp 'in/*' s3://{B}/", files=IN, objects_after=TREE),
    row("cp '{W}/in/*' s3://{B}/", files=IN, objects_after=TREE),
    row(
        "cp in/readme.md in/testfile1.txt s3://{B}/",
        "cp dir/* s3://b/ expanded by the shell",
        files=IN,
        objects_after={"readme.md": "readme", "testfile1.txt": "test"},
        ours_because=SEVERAL,
    ),
    row("cp 'in/*' s3://{B}/prefix", files=IN, status=2, ours_because=STATUS),
    row("cp in/ s3://{B}/prefix", files=IN, objects_after=below("prefix", TREE), ours_because=DESTINATION),
    row("cp in s3://{B}/prefix/", files=IN, status=2, ours_because=FOLDER),
    row("cp 'in/*' s3://{B}/", "a pattern that finds one folder", files={"in/x/f": "1"}, objects_after={"x/f": "1"}),
    row("cp 'in/*/f' s3://{B}/", files={"in/x/f": "1", "in/y/f": "2"}, objects_after={"x/f": "1", "y/f": "2"}),
    row(
        "cp 'i*/*.txt' s3://{B}/",
        files={"in/x.txt": "1", "i2/y.txt": "2", "i2/d/z.txt": "3"},
        objects_after={"in/x.txt": "1", "i2/y.txt": "2"},
    ),
    row(
        "cp 'in/*' s3://{B}/",
        "a pattern beside hidden files",
        files={"in/.hidden": "1", "in/y": "2"},
        objects_after={"y": "2"},
        ours_because=HIDDEN,
    ),
    row("cp 'nothing*' s3://{B}/", status=1),
    row("cp nothing s3://{B}/", status=1),
    row(
        "cp --content-disposition inline index s3://{B}/",
        files=PAGE,
        objects_after=PAGE,
        heads={"index": {"ContentType": "application/octet-stream", "ContentDisposition": "inline"}},
        ours_because=TYPE_BY_NAME,
    ),
    row(
        "cp --content-type text/html --sse aws:kms --sse-kms-key-id " + KMS + " index s3://{B}/",
        files=PAGE,
        objects_after=PAGE,
        heads={"index": {"ContentType": "text/html", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS}},
    ),
    row(
        "cp --content-type a/b --metadata Key1=foo --metadata Key2=bar index s3://{B}/",
        files=PAGE,
        objects_after=PAGE,
        heads={"index": {"ContentType": "a/b", "Metadata": {"key1": "foo", "key2": "bar"}}},
    ),
    row(
        "cp --storage-class=GLACIER i.txt s3://{B}/",
        files={"i.txt": "x"},
        objects_after={"i.txt": "archived"},
        heads={"i.txt": {"ContentType": "text/plain", "StorageClass": "GLACIER"}},
        ours_because=CHARSET,
    ),
    row(
        "cp --acl private --cache-control no-cache --expires 2034-10-01T20:30:00Z --content-encoding br index s3://{B}/",
        files=PAGE,
        objects_after=PAGE,
        heads={"index": {"CacheControl": "no-cache", "ContentEncoding": "br"}},
    ),
    row(
        "cp --no-follow-symlinks b/link s3://{B}/prefix/",
        files={"a/f": "CAFE", "b/link": "-> ../a/f"},
    ),
    row(
        "cp --no-follow-symlinks '*' s3://{B}/prefix/",
        files={"a/f": "CAFE", "b/link": "-> ../a/f"},
        objects_after={"prefix/a/f": "CAFE"},
    ),
    row(
        "cp '*' s3://{B}/prefix/",
        files={"a/f": "CAFE", "b/link": "-> ../a/f"},
        objects_after={"prefix/a/f": "CAFE", "prefix/b/link": "CAFE"},
    ),
    row(
        "cp '*' s3://{B}/prefix/",
        "a link to its own parent",
        files={"a/f": "CAFE", "a/up": "-> ../a"},
        objects_after={"prefix/a/f": "CAFE"},
        status=1,
        ours_because=LOOPS,
    ),
    row("cp --raw 'file*.txt' s3://{B}", files=STARS, objects_after={"file*.txt": "1"}),
    row(
        "cp --raw 'a*/file*.txt' s3://{B}",
        files={"a*/file*.txt": "1", "ab/file1.txt": "2"},
        objects_after={"file*.txt": "1"},
    ),
    row("cp --raw 'a*' s3://{B}", files={"a*/file*.txt": "1", "ab/f": "2"}, status=2, ours_because=FOLDER),
    row("cp --raw t.txt 's3://{B}/test*/'", files={"t.txt": "t"}, objects_after={"test*/t.txt": "t"}),
    row(
        "cp t.txt 's3://{B}/test*/'",
        files={"t.txt": "t"},
        objects_after={"test*/t.txt": "t"},
        ours_because=LITERAL_DESTINATION,
    ),
    row("cp --flatten in/ s3://{B}/", files=below("in", DEEP), objects_after=flat(DEEP)),
    row("cp --flatten in/ s3://{B}/prefix/", files=below("in", DEEP), objects_after=below("prefix", flat(DEEP))),
    row("cp --flatten 'in/*' s3://{B}/", files=below("in", DEEP), objects_after=flat(DEEP)),
    row("cp --flatten 'in/*' s3://{B}/prefix/", files=below("in", DEEP), objects_after=below("prefix", flat(DEEP))),
    row("cp a b", files={"a": "1"}, status=2, ours_because=STATUS),
)

ACROSS = (
    row("cp 's3://{B}/*' s3://{B2}", objects=TREE, objects_after=copied(TREE, "2:")),
    row(
        "cp 's3://{B}/*' s3://{B2}/",
        "cp of keys with special characters",
        objects={"sub///test&@$:,?;= 4.txt": "4", "test&@$:,?;= 3.txt": "3"},
        objects_after=copied({"sub///test&@$:,?;= 4.txt": "4", "test&@$:,?;= 3.txt": "3"}, "2:"),
        ours_because=ODD_KEYS,
    ),
    row("cp 's3://{B}/*' s3://{B}/dst", objects=TREE, objects_after=copied(TREE, "dst/"), ours_because=DESTINATION),
    row("cp --flatten 's3://{B}/*' s3://{B}/dst/", objects=DEEP, objects_after=copied(DEEP, "dst/", names=flat(DEEP))),
    row("cp --flatten s3://{B}/a/d.txt s3://{B2}/", objects=DEEP, objects_after=DEEP | {"2:d.txt": "2"}),
    row(
        "cp --content-type text/x s3://{B}/file1.txt s3://{B2}/",
        objects=ONE,
        put={"file1.txt": {"CacheControl": "no-cache", "Metadata": {"k": "v"}}},
        objects_after=copied(ONE, "2:"),
        heads={"2:file1.txt": {"ContentType": "text/x", "CacheControl": None, "Metadata": {}}},
    ),
    row(
        "cp --metadata-directive REPLACE --content-type text/x s3://{B}/file1.txt s3://{B2}/",
        objects=ONE,
        objects_after={**ONE, "2:file1.txt": ONE["file1.txt"]},
        heads={"2:file1.txt": {"ContentType": "text/x"}},
    ),
    row(
        "cp --destination-region us-east-1 s3://{B}/file1.txt s3://{B2}/",
        objects=ONE,
        status=2,
        ours_because=OWN_OPTIONS,
    ),
)

REPLACED = (
    row("cp -n f s3://{B}/", files={"f": "1"}, objects_after={"f": "1"}),
    row("cp -n f s3://{B}/", "cp -n f, which exists", files={"f": "1"}, objects={"f": "2"}),
    row("cp -n s3://{B}/f .", files={"f": "1"}, objects={"f": "2"}),
    row("cp -n -s f s3://{B}/", "cp -n -s f, of one size", files={"f": "1"}, objects={"f": "2"}),
    row(
        "cp -n -s f s3://{B}/",
        files={"f": "long"},
        objects={"f": "2"},
        objects_after={"f": "long"},
    ),
    row("cp -n -s s3://{B}/f .", "cp -n -s s3://b/f, of one size", files={"f": "1"}, objects={"f": "2"}),
    row("cp -n -s s3://{B}/f .", files={"f": "1"}, objects={"f": "long"}, files_after={"f": "long"}),
    row("cp -n -u f s3://{B}/", "cp -n -u f, older", files={"f": "1"}, objects={"f": "2"}, age_s={"f": 3600}),
    row(
        "cp -n -u f s3://{B}/",
        files={"f": "1"},
        objects={"f": "2"},
        age_s={"f": -3600},
        objects_after={"f": "1"},
    ),
    row("cp -n -u s3://{B}/f .", files={"f": "1"}, objects={"f": "2"}, age_s={"f": 3600}, files_after={"f": "2"}),
    row("cp -n -u s3://{B}/f .", "cp -n -u s3://b/f, older", files={"f": "1"}, objects={"f": "2"}, age_s={"f": -3600}),
)

MOVED = (
    row("mv in/ s3://{B}/", files=IN, objects_after=TREE, files_after={}),
    row("mv 'in/*' s3://{B}/", files=IN, objects_after=TREE, files_after={}),
    row("mv in s3://{B}/", files=IN, status=2, ours_because=FOLDER),
    row(
        "mv --raw 'a*.txt' s3://{B}",
        files={"a*.txt": "1", "ab.txt": "2"},
        objects_after={"a*.txt": "1"},
        files_after={"ab.txt": "2"},
    ),
    row("mv s3://{B}/file1.txt new/", objects=ONE, objects_after={}, files_after=below("new", ONE)),
)

SYNCED = (
    row("sync in/ s3://{B}/", files=IN, objects_after=TREE),
    row("sync 'in/*' s3://{B}/", files=IN, objects_after=TREE),
    row("sync in s3://{B}/", files=IN, objects_after=TREE, ours_because=FOLDER),
    row("sync --size-only in/ s3://{B}/", files={"in/f": "1"}, objects={"f": "2"}),
    row("sync --exit-on-error in/ s3://{B}/", files={"in/f": "1"}, status=2, ours_because=OWN_OPTIONS),
)

PIPED = (
    row("pipe s3://{B}/f", given="x", objects_after={"f": "x"}),
    row("pipe -n s3://{B}/f", given="x", objects_after={"f": "x"}),
    row("pipe -n s3://{B}/f", "pipe -n, which exists", given="x", objects={"f": "2"}),
    row("pipe --raw 's3://{B}/ex*mple.txt'", given="x", objects_after={"ex*mple.txt": "x"}),
    row("pipe 's3://{B}/ex*mple.txt'", given="x", objects_after={"ex*mple.txt": "x"}, ours_because=LITERAL_DESTINATION),
    row(
        "pipe --storage-class=GLACIER s3://{B}/i.txt",
        given="x",
        objects_after={"i.txt": "archived"},
        heads={"i.txt": {"ContentType": "text/plain", "StorageClass": "GLACIER"}},
        ours_because=CHARSET,
    ),
    row("pipe s3://{B}/prefix/", given="x", status=2, ours_because=STATUS),
    row("pipe s3://{B}", given="x", status=2, ours_because=STATUS),
)

OTHER = (
    row("run", files={"a": "1"}, given="cp a s3://{B}/\n# a comment\n", objects_after={"a": "1"}),
    row("select --query 'SELECT * FROM s3object s' s3://{B}/file1.txt", objects=ONE, status=2, ours_because=CLOSED),
    row("bucket-version s3://{B}", status=2, ours_because=CLOSED),
)

MOVING = (*DOWN, *UP, *ACROSS, *REPLACED, *MOVED, *SYNCED, *PIPED, *OTHER)
