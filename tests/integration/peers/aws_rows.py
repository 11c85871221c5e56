"""Command lines of aws-cli 1.45 (``aws s3 …``); names and contents are ours."""

from __future__ import annotations

from tests.integration.peers.aws_option_rows import OPTION_ROWS
from tests.integration.peers.aws_row import CLASH, NOTHING, ODD_KEYS, STATUS, AwsRow

FOO = {"foo.txt": "this is foo.txt"}
RUN = {"run-7/a.bin": "a", "run-7/note.txt": "note"}


EVERY_DAY = (
    AwsRow(name="buckets", theirs="ls"),
    AwsRow(name="buckets by the scheme", theirs="ls s3://"),
    AwsRow(name="one folder", theirs="ls s3://{B}/run-7/", objects=RUN, prints="a.bin"),
    AwsRow(name="a bucket without s3://", theirs="ls {B}/run-7/", objects=RUN, prints="a.bin"),
    AwsRow(name="all keys", theirs="ls --recursive --human-readable --summarize s3://{B}", objects=RUN, prints="a.bin"),
    AwsRow(
        name="one file",
        theirs="cp a.bin s3://{B}/run-7/",
        files={"a.bin": "a"},
        objects_after={"run-7/a.bin": "a"},
    ),
    AwsRow(
        name="a folder",
        theirs="cp --recursive run-7 s3://{B}/run-7",
        files={"run-7/a.bin": "a"},
        objects_after={"run-7/a.bin": "a"},
    ),
    AwsRow(
        name="one object",
        theirs="cp s3://{B}/run-7/a.bin .",
        objects=RUN,
        files_after={"a.bin": "a"},
    ),
    AwsRow(
        name="a prefix",
        theirs="cp --recursive s3://{B}/run-7/ out",
        objects=RUN,
        files_after={"out/a.bin": "a", "out/note.txt": "note"},
    ),
    AwsRow(
        name="text files only",
        theirs="cp --recursive --exclude '*' --include '*.txt' s3://{B}/run-7/ out",
        objects=RUN,
        files_after={"out/note.txt": "note"},
    ),
    AwsRow(
        name="between buckets",
        theirs="cp --recursive s3://{B}/run-7/ s3://{B2}/run-7/",
        objects=RUN,
        objects_after={**RUN, **{f"2:{key}": body for key, body in RUN.items()}},
    ),
    AwsRow(
        name="mv",
        theirs="mv s3://{B}/run-7/a.bin s3://{B2}/a.bin",
        objects=RUN,
        objects_after={"run-7/note.txt": "note", "2:a.bin": "a"},
    ),
    AwsRow(name="from stdin", theirs="cp - s3://{B}/hello", given="hello", objects_after={"hello": "hello"}),
    AwsRow(name="to stdout", theirs="cp s3://{B}/run-7/note.txt -", objects=RUN, prints="note"),
    AwsRow(name="rm", theirs="rm s3://{B}/run-7/a.bin", objects=RUN, objects_after={"run-7/note.txt": "note"}),
    AwsRow(name="rm below a prefix", theirs="rm --recursive s3://{B}/run-7/", objects=RUN, objects_after={}),
    AwsRow(
        name="sync",
        theirs="sync run-7 s3://{B}/run-7",
        files={"run-7/a.bin": "a"},
        objects_after={"run-7/a.bin": "a"},
    ),
    AwsRow(
        name="sync --delete",
        theirs="sync --delete run-7 s3://{B}/run-7",
        files={"run-7/a.bin": "a"},
        objects={"run-7/old": "x"},
        objects_after={"run-7/a.bin": "a"},
    ),
    AwsRow(name="presign", theirs="presign --expires-in 600 s3://{B}/run-7/a.bin", objects=RUN, prints="http"),
    AwsRow(name="presign without s3://", theirs="presign {B}/run-7/a.bin", objects=RUN, prints="http"),
)
"""What the page shows as its table."""

PLACES = (
    AwsRow(
        name="a folder without --recursive",
        theirs="cp test s3://{B}/",
        files={"test/foo.txt": "1"},
        status=2,
        ours_because=STATUS,
        seen_status=1,
    ),
    AwsRow(
        name="--recursive of one file",
        theirs="cp --recursive foo.txt s3://{B}/p/",
        files=FOO,
        status=1,
        ours_because=STATUS,
        seen_status=2,
    ),
    AwsRow(
        name="a folder that is made",
        theirs="cp s3://{B}/foo.txt new/",
        objects=FOO,
        files_after={"new/foo.txt": FOO["foo.txt"]},
    ),
    AwsRow(
        name="a name in a folder that is made",
        theirs="cp s3://{B}/foo.txt new/n",
        objects=FOO,
        files_after={"new/n": FOO["foo.txt"]},
    ),
    AwsRow(
        name="--recursive of an object",
        theirs="cp --recursive s3://{B}/foo.txt out",
        objects=FOO,
        status=1,
        ours_because=NOTHING,
        seen_status=0,
    ),
    AwsRow(
        name="--recursive of nothing",
        theirs="cp --recursive s3://{B}/nothing/ out",
        objects=FOO,
        status=1,
        ours_because=NOTHING,
        seen_status=0,
    ),
    AwsRow(
        name="mv --recursive of nothing",
        theirs="mv --recursive s3://{B}/nothing/ s3://{B2}/",
        objects=FOO,
        status=1,
        ours_because=NOTHING,
        seen_status=0,
    ),
    AwsRow(name="sync of nothing", theirs="sync s3://{B}/nothing/ out", objects=FOO),
    AwsRow(
        name="a key that is a folder of another",
        theirs="cp --recursive s3://{B}/ out",
        objects={"a": "1", "a/b": "2"},
        status=1,
        files_after={"out/a": "1"},
        ours_because=CLASH,
        seen_files={"out/a/b": "2"},
    ),
    AwsRow(
        name="a key with ..",
        theirs="cp --recursive s3://{B}/ out",
        objects={"../x": "1", "ok": "2"},
        status=1,
        files_after={"out/ok": "2"},
        ours_because=STATUS,
        seen_status=2,
    ),
    AwsRow(
        name="a key with a slash in front",
        theirs="cp --recursive s3://{B}/ out",
        objects={"/abs": "1"},
        status=1,
        ours_because=ODD_KEYS,
        seen_status=0,
        seen_files={"out/abs": "1"},
    ),
    AwsRow(
        name="a key with an empty segment",
        theirs="cp --recursive s3://{B}/ out",
        objects={"a//b": "1"},
        status=1,
        ours_because=ODD_KEYS,
        seen_status=0,
        seen_files={"out/a/b": "1"},
    ),
    AwsRow(name="both local", theirs="cp foo.txt bar.txt", files=FOO, status=2, ours_because=STATUS, seen_status=255),
    AwsRow(name="a file that is missing", theirs="cp none s3://{B}/", status=1, ours_because=STATUS, seen_status=255),
    AwsRow(
        name="--recursive of stdin",
        theirs="cp --recursive - s3://{B}/foo",
        given="x",
        status=2,
        ours_because=STATUS,
        seen_status=255,
    ),
    AwsRow(
        name="a bucket that is missing",
        theirs="ls s3://no-such-bucket-at-all",
        status=1,
        ours_because=STATUS,
        seen_status=255,
    ),
    AwsRow(name="one argument more", theirs="ls s3://{B} foo", status=2, ours_because=STATUS, seen_status=255),
    AwsRow(
        name="mv onto itself",
        theirs="mv s3://{B}/foo.txt s3://{B}/foo.txt",
        objects=FOO,
        status=2,
        ours_because=STATUS,
        seen_status=255,
    ),
    AwsRow(
        name="mv onto itself by an implied name",
        theirs="mv s3://{B}/foo.txt s3://{B}/",
        objects=FOO,
        status=2,
        ours_because=STATUS,
        seen_status=255,
    ),
    AwsRow(
        name="mv --recursive onto itself",
        theirs="mv --recursive s3://{B}/p/ s3://{B}/p/",
        objects={"p/k": "1"},
        status=1,
        ours_because=STATUS,
        seen_status=255,
    ),
    AwsRow(name="rm of nothing", theirs="rm --recursive s3://{B}/nothing", objects=FOO),
    AwsRow(
        name="rm of the mark of a folder",
        theirs="rm s3://{B}/f/",
        objects={"f/": "", "f/a": "1"},
        objects_after={"f/a": "1"},
    ),
)

LINKS = (
    AwsRow(
        name="links are followed",
        theirs="cp --recursive --follow-symlinks . s3://{B}/",
        files={"real/foo.txt": "foo", "good": "-> real/foo.txt"},
        objects_after={"real/foo.txt": "foo", "good": "foo"},
    ),
    AwsRow(
        name="a link that leads nowhere",
        theirs="cp --recursive . s3://{B}/",
        files={"foo.txt": "foo", "bad": "-> nowhere"},
        objects_after={"foo.txt": "foo"},
        status=1,
        ours_because=STATUS,
        seen_status=2,
    ),
    AwsRow(
        name="a link that is named, and not followed",
        theirs="cp --no-follow-symlinks good s3://{B}/",
        files={"foo.txt": "foo", "good": "-> foo.txt"},
    ),
)

ROWS = (*EVERY_DAY, *PLACES, *LINKS, *OPTION_ROWS)
