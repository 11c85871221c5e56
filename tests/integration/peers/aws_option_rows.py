"""Command lines of aws-cli 1.45: filters, how objects are stored, archives."""

from __future__ import annotations

from dataclasses import replace

from tests.integration.peers.aws_row import (
    ARCHIVES,
    CHECKSUMS,
    COMPRESSED,
    GRANTS,
    HEADERS,
    INCLUDE,
    STATUS,
    WEBSITE,
    AwsRow,
)

FOO = {"foo.txt": "this is foo.txt"}
TREE = {"test/foo.txt": "1", "test-123.txt": "2", "test-321.txt": "3", "test.txt": "4", "a.md": "5"}
TEXTS = {name: body for name, body in TREE.items() if name.endswith(".txt")}
PICTURE = {"foo.txt": "1", "bar.txt": "2", "baz.jpg": "3"}
TYPED = {"foo.txt": {"ContentType": "a/b", "CacheControl": "max-age=1", "Metadata": {"k": "v"}}}
ARCHIVED = {"x.txt": {"StorageClass": "GLACIER"}}
SECOND = "2:foo.txt"


def uploaded(row: AwsRow) -> AwsRow:
    """Return a row whose files are uploaded as they are."""
    return replace(row, objects_after=row.files)


FILTERS = (
    AwsRow(name="one file, all left out", theirs="cp --dryrun --exclude '*' foo.txt s3://{B}/", files=FOO),
    AwsRow(name="one file, left out by its name", theirs="cp --exclude foo.txt foo.txt s3://{B}/", files=FOO),
    AwsRow(name="all left out", theirs="cp --recursive --exclude '*' . s3://{B}/", files=TREE),
    AwsRow(
        name="a prefix is cut off first",
        theirs="cp --recursive --exclude test s3://{B}/temp/ .",
        objects={"temp/test": "1"},
    ),
    AwsRow(
        name="an exclude before an include",
        theirs="cp --recursive --exclude '*' --include 'test/*' . s3://{B}/",
        files=TREE,
        objects_after={"test/foo.txt": "1"},
    ),
    AwsRow(
        name="an include alone",
        theirs="cp --recursive --include '*.txt' . s3://{B}/",
        files=TREE,
        objects_after=TEXTS,
        ours_because=INCLUDE,
        seen_objects=TREE,
    ),
    uploaded(
        AwsRow(
            name="an include of all at the end",
            theirs="cp --recursive --exclude '*.txt' --include '*' . s3://{B}/",
            files=TREE,
        )
    ),
    uploaded(
        AwsRow(
            name="one file taken back in",
            theirs="cp --recursive --exclude 'test/*' --include test/foo.txt . s3://{B}/",
            files=TREE,
        )
    ),
    AwsRow(
        name="brackets",
        theirs="cp --recursive --exclude 'test-[1]*' . s3://{B}/",
        files=TREE,
        objects_after={name: body for name, body in TREE.items() if name != "test-123.txt"},
    ),
    AwsRow(
        name="a whole path",
        theirs="cp --recursive --exclude '{W}/test/*' {W} s3://{B}/",
        files=TREE,
        objects_after={name: body for name, body in TREE.items() if name != "test/foo.txt"},
    ),
    AwsRow(name="rm, all left out", theirs="rm --recursive --exclude '*' s3://{B}/", objects=PICTURE),
    AwsRow(
        name="rm, one taken back in",
        theirs="rm --recursive --exclude '*' --include '*.jpg' s3://{B}/",
        objects=PICTURE,
        objects_after={"foo.txt": "1", "bar.txt": "2"},
    ),
    AwsRow(
        name="rm, an include alone",
        theirs="rm --recursive --include '*.jpg' s3://{B}/",
        objects=PICTURE,
        objects_after={"foo.txt": "1", "bar.txt": "2"},
        ours_because=INCLUDE,
        seen_objects={},
    ),
    AwsRow(
        name="rm, two excludes", theirs="rm --recursive --exclude '*.jpg' --exclude '*.txt' s3://{B}/", objects=PICTURE
    ),
)

STORED = (
    AwsRow(
        name="headers of a copy",
        theirs="cp --content-type text/new s3://{B}/foo.txt s3://{B2}/",
        objects=FOO,
        put=TYPED,
        objects_after={**FOO, SECOND: FOO["foo.txt"]},
        heads={SECOND: {"ContentType": "text/new", "CacheControl": None, "Metadata": {}}},
        ours_because=HEADERS,
        seen_heads={SECOND: TYPED["foo.txt"]},
    ),
    AwsRow(
        name="headers of a copy, said twice",
        theirs="cp --metadata-directive REPLACE --cache-control no-store s3://{B}/foo.txt s3://{B2}/",
        objects=FOO,
        put=TYPED,
        objects_after={**FOO, SECOND: FOO["foo.txt"]},
        heads={SECOND: {"ContentType": "text/plain", "CacheControl": "no-store", "Metadata": {}}},
        ours_because=HEADERS,
        seen_heads={SECOND: {"ContentType": "binary/octet-stream", "CacheControl": "no-store", "Metadata": {}}},
    ),
    AwsRow(
        name="headers of a copy stay",
        theirs="cp --metadata-directive COPY s3://{B}/foo.txt s3://{B2}/",
        objects=FOO,
        put=TYPED,
        objects_after={**FOO, SECOND: FOO["foo.txt"]},
        heads={SECOND: TYPED["foo.txt"]},
    ),
    AwsRow(
        name="seconds since 1970",
        theirs="cp --expires 90 foo.txt s3://{B}/",
        files=FOO,
        objects_after=FOO,
        heads={"foo.txt": {"ExpiresString": "Thu, 01 Jan 1970 00:01:30 GMT"}},
    ),
    AwsRow(
        name="an archive that is compressed",
        theirs="cp a.tar.gz s3://{B}/",
        files={"a.tar.gz": "x"},
        objects_after={"a.tar.gz": "x"},
        heads={"a.tar.gz": {"ContentType": "application/gzip"}},
        ours_because=COMPRESSED,
        seen_heads={"a.tar.gz": {"ContentType": "application/x-tar"}},
    ),
    AwsRow(
        name="no type by the name",
        theirs="cp --no-guess-mime-type foo.txt s3://{B}/",
        ours="cp --content-type binary/octet-stream foo.txt s3://{B}/",
        files=FOO,
        objects_after=FOO,
        heads={"foo.txt": {"ContentType": "binary/octet-stream"}},
    ),
    AwsRow(
        name="a redirect",
        theirs="cp --website-redirect /x foo.txt s3://{B}/",
        files=FOO,
        objects_after=FOO,
        heads={"foo.txt": {"WebsiteRedirectLocation": "/x"}},
    ),
    AwsRow(
        name="a redirect of a copy",
        theirs="cp --website-redirect /x s3://{B}/foo.txt s3://{B2}/",
        objects=FOO,
        put=TYPED,
        objects_after={**FOO, SECOND: FOO["foo.txt"]},
        heads={SECOND: {**TYPED["foo.txt"], "WebsiteRedirectLocation": "/x"}},
    ),
    AwsRow(name="expected size", theirs="cp --expected-size 1 - s3://{B}/foo", given="x", objects_after={"foo": "x"}),
    AwsRow(
        name="checksum mode",
        theirs="cp --checksum-mode ENABLED s3://{B}/foo.txt .",
        objects=FOO,
        files_after=FOO,
    ),
    AwsRow(name="CRC32", theirs="cp --checksum-algorithm CRC32 foo.txt s3://{B}/", files=FOO, objects_after=FOO),
    *(
        AwsRow(
            name=algorithm,
            theirs=f"cp --checksum-algorithm {algorithm} foo.txt s3://{{B}}/",
            files=FOO,
            status=2,
            ours_because=CHECKSUMS,
            seen_status=0,
            seen_objects=FOO,
        )
        for algorithm in ("SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128")
    ),
    AwsRow(
        name="no storage class",
        theirs="cp --storage-class NOT_A_CLASS foo.txt s3://{B}/",
        files=FOO,
        status=1,
        ours_because=STATUS,
        seen_status=2,
    ),
    AwsRow(
        name="what a copy takes along",
        theirs="cp --copy-props none s3://{B}/foo.txt s3://{B2}/",
        objects=FOO,
        status=2,
        ours_because=STATUS,
        seen_status=255,
    ),
    AwsRow(
        name="grants",
        theirs="cp foo.txt s3://{B}/ --grants read=uri=http://acs.amazonaws.com/groups/global/AllUsers",
        files=FOO,
        status=2,
        ours_because=GRANTS,
        seen_status=0,
        seen_objects=FOO,
    ),
    AwsRow(name="pages of a listing", theirs="ls --page-size 2 s3://{B}", objects=FOO, prints="foo.txt"),
    AwsRow(name="pages of rm", theirs="rm --recursive --page-size 2 s3://{B}", objects=FOO, objects_after={}),
    AwsRow(name="website", theirs="website s3://{B} --index-document i", status=2, ours_because=WEBSITE, seen_status=0),
)

ARCHIVES_ROWS = (
    AwsRow(
        name="one archived object",
        theirs="cp s3://{B}/x.txt .",
        objects={"x.txt": "archived"},
        put=ARCHIVED,
        status=1,
        ours_because=STATUS,
        seen_status=2,
    ),
    AwsRow(
        name="archived objects among others",
        theirs="cp --recursive s3://{B}/ out",
        objects={"x.txt": "archived", "y.txt": "y"},
        put=ARCHIVED,
        files_after={"out/y.txt": "y"},
        status=1,
        ours_because=STATUS,
        seen_status=2,
    ),
    AwsRow(
        name="an archived object that is forced",
        theirs="cp --force-glacier-transfer s3://{B}/x.txt .",
        objects={"x.txt": "archived"},
        put=ARCHIVED,
        status=1,
    ),
    AwsRow(
        name="archived objects passed over",
        theirs="cp --recursive --ignore-glacier-warnings s3://{B}/ out",
        objects={"x.txt": "archived"},
        put=ARCHIVED,
        status=2,
        ours_because=ARCHIVES,
        seen_status=0,
    ),
)

OPTION_ROWS = (*FILTERS, *STORED, *ARCHIVES_ROWS)
