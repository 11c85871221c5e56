"""mb, rb, tags, head --tags and presign --method as users run them, on servers that others have written."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import run
from tests.patience import PATIENCE_S
from tests.servers import RunningServer, ministack, moto, weed


@pytest.fixture(scope="module", params=[weed, moto, ministack], ids=["weed", "moto", "ministack"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server with nothing on it."""
    with request.param() as running:
        yield running


def ask(server: RunningServer, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command against the server."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key, "AWS_SESSION_TOKEN": ""}
    return run(words[0], "--endpoint-url", server.endpoint_url, *words[1:], variables=keys)


def asked(server: RunningServer, *words: str) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = ask(server, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_bucket_from_its_making_to_its_removal(server: RunningServer) -> None:
    """What is in a bucket keeps it, and the error tells how to empty it; that works, and the empty bucket goes."""
    assert asked(server, "mb", "s3://made") == "made s3://made\n"
    server.client().put_object(Bucket="made", Key="k", Body=b"kept")
    refused = ask(server, "rb", "s3://made")
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    assert "bulkhaul rm --recursive --all-versions" in refused.stderr
    assert server.client().get_object(Bucket="made", Key="k")["Body"].read() == b"kept"
    asked(server, "rm", "--recursive", "--all-versions", "s3://made")
    line = json.loads(asked(server, "rb", "--json", "s3://made"))
    assert line == {"type": "bucket", "operation": "rb", "success": True, "bucket": "made"}
    gone = ask(server, "rb", "s3://made")
    assert gone.returncode == 1
    assert "no such bucket" in gone.stderr


def test_quietly(server: RunningServer, tmp_path: Path) -> None:
    """--quiet leaves the line of success away, in lines of run as well, and a failure is told all the same."""
    assert asked(server, "mb", "--quiet", "s3://silent") == ""
    refused = ask(server, "mb", "--quiet", "s3://b")
    assert "must have 3 to 63 characters, not 1" in refused.stderr
    assert asked(server, "rb", "--quiet", "s3://silent") == ""
    lines = tmp_path / "lines"
    for option, line in (("--quiet", "mb s3://silent"), ("--no-progress", "rb --quiet s3://silent")):
        lines.write_text(line)
        assert ask(server, "run", option, str(lines)).stdout == ""
    assert "silent" not in {bucket["Name"] for bucket in server.client().list_buckets()["Buckets"]}


def test_a_delete_marker_keeps_a_bucket(server: RunningServer) -> None:
    """Nothing is listed in it, and something could be brought back."""
    client = server.client()
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket="versions", Key="k", Body=b"kept")
    client.delete_object(Bucket="versions", Key="k")
    refused = ask(server, "rb", "s3://versions")
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    assert len(client.list_object_versions(Bucket="versions")["Versions"]) == 1


def test_tags(server: RunningServer) -> None:
    """What is set stands instead of what was there; head shows it; rm takes all away."""
    client = server.client()
    client.create_bucket(Bucket="tagged")
    client.put_object(Bucket="tagged", Key="k", Body=b"", Tagging="old=1")
    assert asked(server, "tags", "get", "s3://tagged/k") == "old=1\n"
    asked(server, "tags", "set", "s3://tagged/k", "team=ml", "a=b=c")
    told = client.get_object_tagging(Bucket="tagged", Key="k")["TagSet"]
    assert {one["Key"]: one["Value"] for one in told} == {"team": "ml", "a": "b=c"}
    assert json.loads(asked(server, "head", "--tags", "--json", "s3://tagged/k"))["tags"] == {"a": "b=c", "team": "ml"}
    assert "tags.team: ml\n" in asked(server, "head", "--tags", "s3://tagged/k")
    asked(server, "tags", "rm", "s3://tagged/k")
    assert client.get_object_tagging(Bucket="tagged", Key="k")["TagSet"] == []
    assert ask(server, "tags", "set", "s3://tagged/nowhere", "a=b").returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        ("tags", "set", "s3://b/k"),
        ("tags", "rm", "s3://b/k", "a=b"),
        ("tags", "set", "s3://b/k", "a"),
        ("tags", "set", "s3://b/k", "a=1", "a=2"),
        ("tags", "set", "s3://b/k", *(f"n{n}=" for n in range(11))),
        ("tags", "set", "s3://b/k", f"{'n' * 129}="),
        ("tags", "set", "s3://b/k", f"n={'v' * 257}"),
        ("mb", "s3://b/k"),
        ("mb", "s3://no"),
        ("mb", "s3://No_Name"),
        ("rb", "s3://b/k"),
        ("head", "--tags", "s3://b"),
        ("presign", "--content-type", "a/b", "s3://b/k"),
        ("presign", "--method", "PUT", "--version-id", "v", "s3://b/k"),
    ],
)
def test_what_makes_no_sense(words: tuple[str, ...]) -> None:
    """It is refused before any request."""
    assert run(*words, "--endpoint-url", "http://127.0.0.1:9").returncode == 2


@pytest.mark.parametrize("words", [("presign", "s3://b"), ("tags", "get", "s3://b/")], ids=["presign", "tags"])
def test_a_bucket_for_an_object(words: tuple[str, ...]) -> None:
    """What takes one object asks for a key, and for no option that it has not got."""
    refused = run(*words)
    assert refused.returncode == 2
    assert "must name one object, with its key" in refused.stderr
    assert "--recursive" not in refused.stderr


def test_a_url_to_store_with(server: RunningServer) -> None:
    """A stranger stores with it, by the content type that it was made for."""
    client = server.client()
    client.create_bucket(Bucket="strangers")
    url = asked(server, "presign", "--method", "put", "--content-type", "text/csv", "s3://strangers/in.csv").strip()
    request = urllib.request.Request(url, b"a,b", {"content-type": "text/csv"}, method="PUT")  # noqa: S310 - ours
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_S):
        pass
    stored = client.get_object(Bucket="strangers", Key="in.csv")
    assert (stored["Body"].read(), stored["ContentType"]) == (b"a,b", "text/csv")
