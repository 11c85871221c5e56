"""Command lines of s5cmd 2.3, as its README and its own tests have them; names and contents are ours."""

from __future__ import annotations

from tests.integration.peers.scenario import Row

FAILURE_STATUS = "A command line that makes no sense ends with status 2; s5cmd ends every failure with 1."

ROWS = (
    Row(
        name="one object into a folder that is made",
        theirs="cp s3://{B}/file1.txt dir/",
        objects={"file1.txt": "content"},
        files_after={"dir/file1.txt": "content"},
    ),
    Row(
        name="one object under a name in a folder that is made",
        theirs="cp s3://{B}/file1.txt dir/file2.txt",
        objects={"file1.txt": "content"},
        files_after={"dir/file2.txt": "content"},
    ),
    Row(
        name="a prefix without a wildcard",
        theirs="cp s3://{B}/prefix/ .",
        objects={"prefix/a": "1"},
        status=2,
        ours_because=FAILURE_STATUS,
    ),
)
