"""docs/guides: every example in them is run, in the order of the page, and does what it says.

docs/guides/fsspec.md has tests of its own.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from bulkhaul.testing import faults, fixtures
from tests.faultserver.objects import make_object
from tests.faultserver.server import FaultServer
from tests.faultserver.sigv4 import Credentials
from tests.servers.process import RunningServer

from .guide import DOCS, RUN_7, Guide, files, fill, remove, write

TEXTS = {"logs/b.txt": b"b", "note.txt": b"note"}


def test_restoring(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/restore.md."""
    fill(seaweed, "bucket", RUN_7, "run-7/")
    guide = Guide("guides/restore.md", seaweed, tmp_path)
    assert guide.run("").count("cp s3://bucket/run-7/") == 4
    assert guide.error.startswith("cp: 4 done")
    assert files(tmp_path / "restored") == RUN_7
    (tmp_path / "restored/note.txt").unlink()

    assert "293.0 KiB" in guide.run("Look first", line=0)
    assert guide.run("Look first", line=1).count("(dry run) cp") == 4
    assert not (tmp_path / "restored/note.txt").exists()

    guide.run("Take a part of it")
    assert files(tmp_path / "texts") == TEXTS
    assert files(tmp_path / "few") == {"a.bin": RUN_7["a.bin"], "b.txt": b"b"}
    assert files(tmp_path / "listed") == {"a.bin": RUN_7["a.bin"], "logs/b.txt": b"b"}

    section = "Go on after an interruption"
    (tmp_path / "restored/logs/b.txt").write_bytes(b"B")  # of the same size
    guide.run(section, line=0)
    assert guide.error.startswith("cp: 1 done, 3 skipped")
    assert files(tmp_path / "restored") == {**RUN_7, "logs/b.txt": b"B"}
    guide.run(section, line=1)
    assert files(tmp_path / "restored") == RUN_7

    guide.run("Prove it")
    assert "4 equal" in guide.error
    guide.run("Account for each object")
    assert files(tmp_path / "by-job") == RUN_7
    assert guide.ended()


def test_migrating(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/migrate.md."""
    for bucket in ("new", "kept"):
        fill(seaweed, bucket, {})
    fill(seaweed, "old", {"a.bin": b"a", "b.bin": b"b"}, "data/")
    client = seaweed.client()
    client.put_object_tagging(Bucket="old", Key="data/a.bin", Tagging={"TagSet": [{"Key": "team", "Value": "ml"}]})
    for bucket in ("old", "kept"):
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with FaultServer(buckets=["legacy"], credentials=Credentials("AKIDOLD", "secret-of-old")) as other:
        other.store.put("legacy", "x.bin", make_object(b"x"))
        credentials = tmp_path / "credentials"
        credentials.write_text("[old]\naws_access_key_id = AKIDOLD\naws_secret_access_key = secret-of-old\n")
        guide = Guide(
            "guides/migrate.md",
            seaweed,
            tmp_path,
            replaced={"http://old.example:9000": other.endpoint_url},
            variables={"AWS_SHARED_CREDENTIALS_FILE": str(credentials)},
        )
        guide.run("")
        assert guide.keys("new") == ["data/a.bin", "data/b.bin"]
        assert "(dry run)" in guide.run("Make the new bucket, and look first")
        assert guide.keys("fresh") == []
        assert guide.run("Say what has to be kept").splitlines()[-1] == "team=ml"
        guide.put("old", "data/b.bin", b"newer")
        assert guide.run("All versions").count("data/b.bin") >= 2
        assert len(client.list_object_versions(Bucket="kept", Prefix="data/b.bin")["Versions"]) == 2
        guide.run("From another service")
        assert guide.keys("fresh", "legacy/") == ["legacy/x.bin"]
    guide.run("Millions of objects")
    assert (tmp_path / "move.csv").read_text().count("succeeded") == 2
    guide.run("Check, then switch over", line=0)
    assert "2 equal" in guide.error
    assert "2 unchanged" in guide.run("Check, then switch over", line=1)
    assert guide.ended()


def test_pipes(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/pipes.md."""
    fill(seaweed, "bucket", {"2024-05-01.log": b"ERROR 1\nfine\n", "2024-05-02.log": b"ERROR 2\n", "x": b"x"}, "logs/")
    write(tmp_path / "results", {"a.txt": b"a", "b.bin": b"b"})
    guide = Guide("guides/pipes.md", seaweed, tmp_path)
    listed = ["results/", "results/a.txt", "results/b.bin"]
    guide.run("")
    assert sorted(guide.run("").splitlines()) == listed
    guide.run("In scripts")
    assert sorted(guide.run("In scripts").splitlines()) == ["complete", *listed]
    assert guide.run("Many objects", line=0) == "2\n"
    assert guide.run("Many objects", line=1) == "ERROR 2\nERROR 1\nfine\n"
    guide.run("Names from another program")
    assert guide.keys("bucket", "logs/") == ["logs/2024-05-01.log", "logs/2024-05-02.log"]
    assert guide.keys("bucket", "found/") == ["found/results/a.txt"]
    assert guide.run("Where `-` stands").endswith("hello\n")
    assert guide.ended()


def test_a_pipe_that_fails_leaves_no_object(seaweed: RunningServer, tmp_path: Path) -> None:
    """The recipe of docs/guides/pipes.md removes what a program that failed had written."""
    fill(seaweed, "bucket", {})
    guide = Guide("guides/pipes.md", seaweed, tmp_path, replaced={"tar c results | zstd": "(echo half; exit 3) | zstd"})
    recipe = guide.blocks("sh")[2]
    assert "rm s3://" in recipe
    guide.call(["bash", "-c", recipe])
    assert guide.keys("bucket") == []


def test_a_store_on_a_lan(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/minio.md."""
    fill(seaweed, "bucket", {"a": b"a"})
    write(tmp_path / "album", {"a.jpg": b"jpg"})
    guide = Guide(
        "guides/minio.md",
        seaweed,
        tmp_path,
        replaced={
            "http://minio.lan:9000": seaweed.endpoint_url,
            "minio-key": seaweed.access_key,
            "minio-secret": seaweed.secret_key,
        },
    )
    del guide.environment["AWS_ENDPOINT_URL"]
    assert guide.run("").endswith(" a\n")
    assert guide.run("Say it once").splitlines()[-1].endswith("album/a.jpg")

    (profile,) = guide.blocks("ini")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(profile)
    kept = dict(guide.environment)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"):
        del guide.environment[name]
    assert guide.run("Say it once").endswith(" a.jpg\n")

    guide.environment = kept
    section = "When it does not work"
    told = guide.run(section)
    assert "failed" not in told
    assert re.search("^conditional write +ok", told, re.MULTILINE)
    assert f"{seaweed.endpoint_url}" in guide.error
    assert seaweed.secret_key not in guide.error + told
    guide.run("Leave room for others")
    assert files(tmp_path / "slow") == {"a.jpg": b"jpg"}
    assert guide.ended()


def test_continuous_integration(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/ci.md: the workflow's steps are run, all but what installs bulkhaul, which is here."""
    fill(seaweed, "artifacts", {"wheel.bin": b"wheel"}, "cache/")
    write(tmp_path / "dist", {"a.txt": b"a"})
    guide = Guide("guides/ci.md", seaweed, tmp_path, variables={"GITHUB_SHA": "5a1e"})
    guide.run("")
    assert guide.keys("artifacts", "5a1e/") == ["5a1e/a.txt"]

    (text,) = guide.blocks("yaml")
    steps = yaml.safe_load(text)["jobs"]["build"]["steps"]
    *lines, link = [step["run"] for step in steps if "run" in step and step["run"] != "pip install bulkhaul"]
    told = [guide.call(["bash", "-eo", "pipefail", "-c", line]) for line in lines]
    assert json.loads(told[-1]) == {"planned": 3, "verified": 3, "failed": 0, "bytes": told_bytes(tmp_path / "dist")}
    assert guide.keys("artifacts", "5a1e/") == ["5a1e/a.txt", "5a1e/built.txt", "5a1e/wheel.bin"]
    guide.call(["bash", "-eo", "pipefail", "-c", link])
    assert guide.call(["bash", "-c", 'curl -sf "$(cat link.txt)"']) == (tmp_path / "dist/built.txt").read_text()

    assert guide.run("Bounds") == guide.error == ""
    (tmp_path / "dist/built.txt").write_text("another day")
    guide.run("Write once")
    assert guide.error.startswith("cp: 0 done, 3 skipped")
    remove(guide.client, "artifacts")
    fill(seaweed, "artifacts", {})
    guide.call(["bash", "-c", lines[0]])  # as the page says of an empty cache
    guide.call(["bash", "-c", lines[0].replace("sync", "cp --recursive")], status=1)
    assert guide.ended()


def told_bytes(folder: Path) -> int:
    """Return how many bytes lie in a folder."""
    return sum(map(len, files(folder).values()))


def test_kubernetes(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/kubernetes.md: the manifests are YAML, and their command lines run."""
    fill(seaweed, "models", {"weights.bin": b"w", "tokens.json": b"{}"}, "llm-7/")
    fill(seaweed, "backups", {})
    write(tmp_path / "data", {"db": b"rows"})
    here = {" /models/llm-7": f" {tmp_path}/models/llm-7", "/data/,": f"{tmp_path}/data/,"}
    (tmp_path / "models").mkdir()
    guide = Guide("guides/kubernetes.md", seaweed, tmp_path, replaced=here)
    guide.run("")
    assert set(files(tmp_path / "models/llm-7")) == {"weights.bin", "tokens.json"}
    (tmp_path / "models/llm-7/tokens.json").unlink()

    pod, job = map(yaml.safe_load, guide.blocks("yaml"))
    (init,) = pod["spec"]["initContainers"]
    assert {mount["name"] for mount in init["volumeMounts"]} == {volume["name"] for volume in pod["spec"]["volumes"]}
    guide.call(init["command"])
    assert set(files(tmp_path / "models/llm-7")) == {"weights.bin", "tokens.json"}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    told = guide.call(container["command"] + container["args"])
    assert json.loads(told.splitlines()[-1])["verified"] == 1
    assert guide.keys("backups") == ["data/db"]
    assert guide.client.head_object(Bucket="backups", Key="data/db")["StorageClass"] == "STANDARD_IA"
    assert guide.ended()


def test_two_accounts(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/two-accounts.md."""
    fill(seaweed, "ours", {})
    with FaultServer(buckets=["shared"], credentials=Credentials("AKIDTHEIRS", "secret-of-theirs")) as theirs:
        for key in ("a.bin", "b.bin"):
            theirs.store.put("shared", key, make_object(key.encode()))
        guide = Guide(
            "guides/two-accounts.md",
            seaweed,
            tmp_path,
            replaced={
                "https://s3.us-east-1.amazonaws.com": seaweed.endpoint_url,
                "http://theirs.example:9000": theirs.endpoint_url,
                "our-key": seaweed.access_key,
                "our-secret": seaweed.secret_key,
                "their-key": "AKIDTHEIRS",
                "their-secret": "secret-of-theirs",
            },
        )
        (profiles,) = guide.blocks("ini")
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/config").write_text(profiles)
        for name in [
            name for name in guide.environment if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED"
        ]:
            del guide.environment[name]
        guide.environment["AWS_PROFILE"] = "ours"
        guide.run("")
        assert guide.keys("ours") == ["from-them/a.bin", "from-them/b.bin"]
        del guide.environment["AWS_PROFILE"]
        assert guide.run("Profiles", line=0).count(".bin") == 2
        guide.run("Profiles", line=1)
        assert guide.run("Profiles", line=2).startswith("equal ")
        assert guide.run("In Python").splitlines() == ["a.bin False", "b.bin False"]
        assert sorted(guide.run("In Python").splitlines()) == ["s3://ours/copy/a.bin None", "s3://ours/copy/b.bin None"]
        assert guide.run("Keys that a program holds") == "True True\n"
    assert guide.ended()


def test_python(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/python.md."""
    fill(seaweed, "bucket", RUN_7, "run-7/")
    guide = Guide("guides/python.md", seaweed, tmp_path)
    guide.run("")
    assert (tmp_path / "a.bin").read_bytes() == RUN_7["a.bin"]
    assert guide.run("In a notebook").splitlines() == ["b'note'", "False", "300000"]
    told = guide.run("Many objects").splitlines()
    assert told[-1] == "0 failed; 6 verified"
    assert guide.keys("bucket", "copy/") == ["copy/a.bin", "copy/logs/b.txt", "copy/note.txt"]
    assert guide.run("Errors").startswith("not there: s3://bucket/nothing")
    assert guide.run("Store") == "somebody else has it\n"
    head = guide.client.head_object(Bucket="bucket", Key="notes/note.txt")
    assert (head["ContentType"], head["Metadata"]["run"]) == ("text/csv", "7")
    assert guide.run("File objects") == "b'name,size\\n' b'a,1\\n'\n"
    assert guide.run("One bucket") == "['a.txt'] b'hell'\n"
    assert guide.keys("bucket", "run-8/") == ["run-8/a.txt"]
    assert guide.ended()


def test_asyncio(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/asyncio.md."""
    fill(seaweed, "bucket", RUN_7, "run-7/")
    guide = Guide("guides/asyncio.md", seaweed, tmp_path)
    guide.put("bucket", "large.bin", b"l" * 2**20)
    guide.run("")
    assert guide.run("Side by side") == "4950\n"
    *told, first = guide.run("Many objects").splitlines()
    assert len(told) == 4
    assert all(line.endswith(" None") for line in told)
    assert first == "the first key is large.bin"
    assert guide.run("Deadlines") == "too slow; nothing is left\n"
    assert not list(tmp_path.glob("*large.bin*"))
    assert guide.run("One bucket, in a service") == "['ann.png']\n"
    assert guide.keys("bucket", "avatars/") == ["avatars/ann.png"]
    assert guide.ended()


def test_testing(seaweed: RunningServer, tmp_path: Path) -> None:
    """docs/guides/testing.md."""
    fill(seaweed, "bucket", {})
    guide = Guide("guides/testing.md", seaweed, tmp_path)
    first = guide.blocks("sh")[0]
    guide.run("", status=4)  # the file comes further down
    guide.run("Code that takes a store")
    guide.run("Its tests")
    assert "4 passed" in guide.run("Its tests")
    assert "4 passed" in guide.call(["bash", "-c", first])
    guide.run("On disk, and in a bucket")
    assert guide.keys("bucket") == ["db-1"]
    guide.run("On a real server")
    guide.run("On a real server")
    assert "3 passed" in guide.run("On a real server")
    guide.run("Faults")
    guide.run("How fast your code is")
    assert re.search(r"^test_saving +\d", guide.run("How fast your code is"), re.MULTILINE)
    assert guide.ended()


def test_testing_names_every_fixture_and_fault() -> None:
    """docs/guides/testing.md: the tables have what there is, and nothing else."""
    text = (DOCS / "guides/testing.md").read_text()
    source = Path(fixtures.__file__).read_text()
    made = re.findall(r"^@pytest\.fixture.*\ndef (\w+)", source, re.MULTILINE)
    assert sorted(re.findall(r"^\| `(bulkhaul_\w+)` \|", text, re.MULTILINE)) == sorted(made)
    told = re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)
    assert sorted(told) == sorted(name for name, one in vars(faults).items() if inspect.isfunction(one))


TESTED_ELSEWHERE = {"guides/fsspec.md", "coming-from/aws-cli.md"}
"""What other tests run."""


def test_every_page_is_run() -> None:
    """Each page is named by a test that runs it, and has no block of a language that none of them reads."""
    tests = "".join(
        Path(__file__).with_name(name).read_text() for name in ("test_guide_pages.py", "test_coming_from.py")
    )
    pages = {
        str(path.relative_to(DOCS)) for folder in ("guides", "coming-from") for path in (DOCS / folder).glob("*.md")
    }
    for page in pages - TESTED_ELSEWHERE:
        assert f'"{page}"' in tests
        languages = set(re.findall(r"^```(\w*)$", (DOCS / page).read_text(), re.MULTILINE))
        assert languages <= {"", "sh", "python", "yaml", "ini"}, page
