"""docs/iam.md: each command line in its tables asks a server for what the table says, and for no more."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.benchmark.op_log import Op, write
from bulkhaul.testing.faultserver.faults import Request
from tests.faultserver import FaultServer, Status, make_object
from tests.integration.command import run

MIB = 1 << 20
PAGE = (Path(__file__).parents[2] / "docs/iam.md").read_text()
ROWS = re.findall(r"^\| `bulkhaul (.+?)` \| (.*?) ?\| (.*?) ?\| (.*?) ?\|$", PAGE, re.MULTILINE)

ACTIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "GetObjectTagging": "s3:GetObjectTagging",
    "PUT tagging": "s3:PutObjectTagging",
    "DELETE tagging": "s3:DeleteObjectTagging",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListParts": "s3:ListMultipartUploadParts",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "PutObject": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "PUT bucket": "s3:CreateBucket",
    "DELETE bucket": "s3:DeleteBucket",
    "GET bucket": "s3:ListAllMyBuckets",
}
"""What each operation takes. Source: S3 User Guide, "Required permissions for Amazon S3 API operations"."""

NOT_KNOWN = ("tags set", "tags rm", "mb", "rb")
"""Commands whose operation the server records and refuses, for it does not know it; it lists no buckets, either."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """One bucket to read, one to write, and an empty one."""
    with FaultServer(buckets=["from", "to", "empty"]) as running:
        for key in ("key", "p/a", "p/b", "gone", "q/a"):
            running.store.put("from", key, make_object(key.encode()))
        running.store.put("from", "big", make_object(bytes(70 * MIB)))
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands name."""
    work = tmp_path_factory.mktemp("iam")
    for name in ("file", "folder/x", "other/y"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(name)
    with (work / "big").open("wb") as file:
        file.truncate(70 * MIB)
    asked = (("GET", "there", 9), ("PUT", "new", 9), ("STAT", "new", 0), ("LIST", "", 0), ("DELETE", "new", 0))
    write(
        work / "ops.csv",
        (Op(0, op, "", 1, size, "", key, "", at, 0, 0, at + 1) for at, (op, key, size) in enumerate(asked, 1)),
    )
    return work


def taken(request: Request, line: str) -> set[tuple[str, str]]:
    """Return (bucket, action) of what a request takes, which this command line has led to."""
    if request.operation == "HeadBucket":
        return set()
    if request.operation == "DeleteObjects":
        version = "Version" if "--version-id" in line else ""
        return {(request.bucket, f"s3:DeleteObject{version}")}
    found = {(request.bucket, ACTIONS[request.operation])}
    if source := request.headers.get("x-amz-copy-source"):
        found.add((source.lstrip("/").partition("/")[0], "s3:GetObject"))
    return found


@pytest.mark.parametrize(("line", "reads", "writes", "more"), ROWS, ids=[row[0] for row in ROWS])
def test_a_command_takes_what_the_page_says(
    line: str, reads: str, writes: str, more: str, server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines are run in the order of the page; what each asks for is what its row names."""
    monkeypatch.chdir(folder)
    before = len(server.requests)
    variables = {"AWS_ENDPOINT_URL": server.endpoint_url, "AWS_REGION": "us-east-1"}
    done = run(*shlex.split(line), variables=variables)
    asked = {pair for request in server.requests[before:] for pair in taken(request, line)}
    expected = 1 if line.startswith(NOT_KNOWN) or line == "ls" else 0
    never_steady = done.returncode == 3 and line.startswith("bench run")  # within a second
    assert done.returncode == expected or never_steady, done.stderr
    assert {action for bucket, action in asked if bucket in ("from", "")} == set(re.findall(r"`(s3:\w+)`", reads))
    assert {action for bucket, action in asked if bucket not in ("from", "")} == set(re.findall(r"`(s3:\w+)`", writes))
    assert not more or "`s3:" in more or re.match("likewise|nothing is sent|as cp", more)


def test_the_region_takes_no_action(folder: Path) -> None:
    """An upload succeeds where the bucket must not be looked at; it is a large one, so that it lasts until it is."""
    with FaultServer(
        buckets=["to"], faults=[Status(status=403, code="AccessDenied", operation="HeadBucket")]
    ) as strict:
        done = run("cp", folder / "big", "s3://to/key", variables={"AWS_ENDPOINT_URL": strict.endpoint_url})
        assert done.returncode == 0, done.stderr
        strict.assert_all_fired()


def test_the_policies_are_policies() -> None:
    """They parse, and grant actions of buckets on buckets and actions of objects on objects."""
    policies = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
    assert len(policies) == 2
    for statement in (statement for policy in policies for statement in policy["Statement"]):
        of_objects = statement["Resource"].endswith("/*")
        assert all(("s3:ListBucket" in action) != of_objects for action in statement["Action"])


def test_every_command_has_a_row() -> None:
    """But for those that move nothing of their own."""
    from bulkhaul.cli.group import cli

    without = {"pipe", "run", "completion", "demo", "version", "help"}
    named = {row[0].split()[0] for row in ROWS}
    assert named | without >= set(cli.list_commands(None))  # type: ignore[arg-type]
