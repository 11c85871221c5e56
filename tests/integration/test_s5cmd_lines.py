"""The command lines that s5cmd documents, as lines of ``bulkhaul run`` on a real server: what they leave is looked at.

Source: the README of s5cmd 2.3 and the help pages of its commands; names and contents are our own.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import eventually
from tests.integration.command import arguments, environment, problems, run, start
from tests.integration.test_cli_run import files, in_bucket, on, told
from tests.patience import PATIENCE_S
from tests.servers.process import RunningServer
from tests.servers.weed import weed

LOGS = {
    "logs/20/03/18/one.gz": b"1",
    "logs/20/03/19/two.gz": b"22",
    "logs/20/03/19/kept/three.gz": b"333",
    "logs/20/03/19/access_a.log": b"4444",
    "logs/20/03/19/request.txt": b"55555",
}


@pytest.fixture(scope="module")
def seaweed() -> Iterator[RunningServer]:
    """One SeaweedFS for the module."""
    with weed() as server:
        yield server


@pytest.fixture
def b(seaweed: RunningServer, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with some logs, and one of the same name with -2 that is empty; the working folder is the test's."""
    monkeypatch.chdir(tmp_path)
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    client = seaweed.client()
    client.create_bucket(Bucket=name)
    client.create_bucket(Bucket=f"{name}-2")
    for key, body in LOGS.items():
        client.put_object(Bucket=name, Key=key, Body=body)
    return name


def lines_run(server: RunningServer, *lines: str, status: int = 0, given: bytes = b"") -> str:
    """Run a file of commands; return what it has written to stdout."""
    Path("commands.txt").write_text("".join(f"{line}\n" for line in lines))
    done = subprocess.run(
        arguments("run", "commands.txt"),
        env=environment(**on(server)),
        input=given,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr, done.stderr
    return done.stdout.decode()


@contextlib.contextmanager
def started(*words: str, server: RunningServer) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and make sure at the end that it has ended."""
    with start(*words, variables=on(server)) as process:
        try:
            yield process
        finally:
            process.kill()


def opened(pid: int) -> set[str]:
    """Return the last names of what a process has open."""
    return {os.path.basename(os.readlink(one)) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}


def made(*names: str) -> dict[str, bytes]:
    """Write files, each with its name as its content, an hour old: objects tell whole seconds only; return them."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
        os.utime(name, (time.time() - 3600,) * 2)
    return {name: name.encode() for name in names}


def below(prefix: str, cut: str = "", pattern: str = ".*") -> dict[str, bytes]:
    """Return the logs below a prefix, without it."""
    return {key.removeprefix(cut or prefix): body for key, body in LOGS.items() if re.fullmatch(prefix + pattern, key)}


def test_downloads(seaweed: RunningServer, b: str) -> None:
    """One object, renamed, many, filtered, and without their folders."""
    lines_run(
        seaweed,
        f"cp s3://{b}/logs/20/03/18/one.gz .",
        f"cp s3://{b}/logs/20/03/18/one.gz renamed.gz",
        f"cp 's3://{b}/logs/20/03/*' all/",
        f'cp --include "*.log" --include "request*" "s3://{b}/logs/20/03/19/*" picked',
        f"cp --flatten 's3://{b}/logs/20/03/*' flat/",
        f'cp --force-glacier-transfer "s3://{b}/logs/20/03/18/*" forced/',
        f"s5cmd cp -sp s3://{b}/logs/20/03/18/one.gz shown.gz",
    )
    found = files(Path())
    del found["commands.txt"]
    expected = dict.fromkeys(("one.gz", "renamed.gz", "forced/one.gz", "shown.gz"), b"1")
    expected |= {f"all/{name}": body for name, body in below("logs/20/03/").items()}
    expected |= {"picked/access_a.log": b"4444", "picked/request.txt": b"55555"}
    expected |= {f"flat/{os.path.basename(name)}": body for name, body in LOGS.items()}
    assert found == expected


def test_uploads(seaweed: RunningServer, b: str) -> None:
    """Files, patterns and folders, with the headers that the pages show."""
    made("my.gz", "dir/a.gz", "dir/b.txt", "dir/sub/c.bin", "flowers.png", "my.css.br")
    lines_run(
        seaweed,
        f"cp my.gz s3://{b}-2/",
        f'cp "dir/*.gz" s3://{b}-2/p/',
        f"cp dir/ s3://{b}-2/d/",
        f'cp --exclude "*.txt" --exclude "*.gz" dir/ s3://{b}-2',
        f"cp -f dir/ s3://{b}-2/flat/",
        f'cp --expires "2034-10-01T20:30:00Z" --cache-control "public, max-age=345600" my.gz s3://{b}-2/h.gz',
        f'cp --content-type "text/css" --content-encoding "br" my.css.br s3://{b}-2/',
        f'cp --metadata "camera=Nixon D750" --metadata "size=6032x4032" flowers.png s3://{b}-2/f/flowers.png',
        f"mv my.css.br s3://{b}-2/moved/",
    )
    names = {
        "my.gz": "my.gz",
        "p/a.gz": "dir/a.gz",
        **{f"d/{name}": f"dir/{name}" for name in ("a.gz", "b.txt", "sub/c.bin")},
        "sub/c.bin": "dir/sub/c.bin",
        **{f"flat/{os.path.basename(name)}": f"dir/{name}" for name in ("a.gz", "b.txt", "sub/c.bin")},
        "h.gz": "my.gz",
        "my.css.br": "my.css.br",
        "moved/my.css.br": "my.css.br",
        "f/flowers.png": "flowers.png",
    }
    assert in_bucket(seaweed, f"{b}-2") == {key: name.encode() for key, name in names.items()}
    client = seaweed.client()
    assert client.head_object(Bucket=f"{b}-2", Key="h.gz")["CacheControl"] == "public, max-age=345600"
    css = client.head_object(Bucket=f"{b}-2", Key="my.css.br")
    assert (css["ContentType"], css["ContentEncoding"]) == ("text/css", "br")
    flowers = client.head_object(Bucket=f"{b}-2", Key="f/flowers.png")
    assert flowers["Metadata"] == {"camera": "Nixon D750", "size": "6032x4032"}
    assert not Path("my.css.br").exists()


def test_what_is_not_found_on_the_target(seaweed: RunningServer, b: str) -> None:
    """-n -s -u, up and across: in the second run nothing is moved, and all of it is told as skipped."""
    made("dir/a", "dir/b/c")
    lines = (
        f"cp -n -s -u dir/ s3://{b}-2/up/",
        f'cp -n -s -u "s3://{b}/logs/*" s3://{b}-2/across/',
        f"cp -n s3://{b}/logs/20/03/18/one.gz s3://{b}-2/one",
    )
    Path("commands.txt").write_text("\n".join(lines))
    for moved, skipped in ((8, 0), (0, 8)):
        done = run("run", "--json", "commands.txt", variables=on(seaweed))
        assert (done.returncode, done.stderr) == (0, "")
        found, summary = told(done.stdout)
        assert (summary["verified"], summary["skipped"], len(found)) == (moved, skipped, 8)
        assert sum("skipped" in line for line in found) == skipped
    up = {f"up/{name}": f"dir/{name}".encode() for name in ("a", "b/c")}
    across = {f"across/{name}": body for name, body in below("logs/").items()}
    assert in_bucket(seaweed, f"{b}-2") == {**up, **across, "one": b"1"}


def test_nothing_is_replaced_where_a_listing_has_another_order(seaweed: RunningServer, b: str) -> None:
    """SeaweedFS lists ``a/`` before ``a-b/`` and ``a.``, and begins behind a key by that order: -n leaves all of it."""
    names = [f"{folder}{number:02}" for folder in ("a/", "a-b/", "a.") for number in range(20)]
    client = seaweed.client()
    for name in names:
        client.put_object(Bucket=f"{b}-2", Key=name, Body=b"there")
    made(*(f"dir/{name}" for name in names))
    assert lines_run(seaweed, f"cp -n dir/ s3://{b}-2/").count("\n") == len(names)
    assert in_bucket(seaweed, f"{b}-2") == dict.fromkeys(names, b"there")


def test_copies_and_moves(seaweed: RunningServer, b: str) -> None:
    """Within the service, and away from it."""
    lines_run(
        seaweed,
        f"cp s3://{b}/logs/20/03/18/one.gz s3://{b}-2/prefix/object",
        f'cp "s3://{b}/logs/*.gz" s3://{b}-2/gz/',
        f'cp --exclude "20/03/19*" "s3://{b}/logs/*" s3://{b}-2',
        f"mv s3://{b}/logs/20/03/19/request.txt s3://{b}/logs/20/03/19/original/request.txt",
    )
    expected = {"prefix/object": b"1", "20/03/18/one.gz": b"1"}
    expected |= {f"gz/{name}": body for name, body in below("logs/", pattern=r".*\.gz").items()}
    assert in_bucket(seaweed, f"{b}-2") == expected
    moved = in_bucket(seaweed, b)
    assert moved.pop("logs/20/03/19/original/request.txt") == b"55555"
    assert moved == {key: body for key, body in LOGS.items() if not key.endswith("request.txt")}
    lines_run(seaweed, f'mv --exclude "*log" "s3://{b}/logs/20/03/19/*" gone/')
    assert set(files(Path("gone"))) == {"two.gz", "kept/three.gz", "original/request.txt"}
    assert set(in_bucket(seaweed, b)) == {"logs/20/03/18/one.gz", "logs/20/03/19/access_a.log"}


def test_deletions(seaweed: RunningServer, b: str) -> None:
    """One, several, by pattern and by filters, and from two buckets."""
    seaweed.client().put_object(Bucket=f"{b}-2", Key="o", Body=b"")
    lines_run(
        seaweed,
        f"rm s3://{b}/logs/20/03/18/one.gz",
        f"rm s3://{b}-2/o",
        f'rm --include "*.log" --include "none*" "s3://{b}/logs/20/03/19/*"',
        f'rm "s3://{b}/logs/20/03/19/kept/*" s3://{b}/logs/20/03/19/none',
        f'rm --exclude "*.gz" --exclude "kept*" "s3://{b}/logs/20/03/19/r*"',
    )
    assert in_bucket(seaweed, b) == {"logs/20/03/19/two.gz": b"22"}
    assert in_bucket(seaweed, f"{b}-2") == {}


def test_syncs(seaweed: RunningServer, b: str) -> None:
    """Folders, prefixes, patterns and single objects; a second run moves nothing, and --delete takes what is extra."""
    made("folder/a", "folder/sub/b", "my.gz")
    lines = (
        f"sync folder/ s3://{b}-2/up/",
        f"sync 'folder/*' s3://{b}-2/all/",
        f'sync "s3://{b}/logs/*" down/',
        f'sync "s3://{b}/logs/*" s3://{b}-2/across/',
        f'sync "s3://{b}/logs/*.gz" s3://{b}-2/gz/',
        f'sync --include "*.log" --exclude "access_*" --include "*.txt" "s3://{b}/logs/20/03/19/*" picked',
        f"sync my.gz s3://{b}-2/",
        f"sync s3://{b}/logs/20/03/18/one.gz s3://{b}-2/prefix/object",
        f"sync --size-only s3://{b}/logs/20/03/18/one.gz one/",
    )
    lines_run(seaweed, *lines)
    expected = {f"{place}/{name}": f"folder/{name}".encode() for place in ("up", "all") for name in ("a", "sub/b")}
    expected |= {f"across/{name}": body for name, body in below("logs/").items()}
    expected |= {f"gz/{name}": body for name, body in below("logs/", pattern=r".*\.gz").items()}
    expected |= {"my.gz": b"my.gz", "prefix/object": b"1"}
    assert in_bucket(seaweed, f"{b}-2") == expected
    assert files(Path("down")) == below("logs/")
    assert files(Path("picked")) == {"request.txt": b"55555"}
    assert files(Path("one")) == {"one.gz": b"1"}
    done = run("run", "--json", "commands.txt", variables=on(seaweed))
    found, summary = told(done.stdout)
    assert summary["verified"] == 0
    assert all("skipped" in line for line in found)
    Path("folder/a").unlink()
    Path("down/extra").write_text("extra")
    Path("my.gz").write_text("longer than it was")
    out = lines_run(
        seaweed,
        f"sync --delete folder/ s3://{b}-2/up/",
        f'sync --delete --size-only "s3://{b}/logs/*" down/',
        f"sync my.gz s3://{b}-2/",
    )
    assert f"rm s3://{b}-2/up/a\n" in out
    after = in_bucket(seaweed, f"{b}-2")
    assert after == {**{key: body for key, body in expected.items() if key != "up/a"}, "my.gz": b"longer than it was"}
    assert files(Path("down")) == below("logs/")


def test_what_is_printed(seaweed: RunningServer, b: str) -> None:
    """ls, du, head, presign and cat; what cat writes comes in one piece, and nothing is said of it beside."""
    body = os.urandom(3_000_000)
    seaweed.client().put_object(Bucket=b, Key="big", Body=body)
    url = f"s3://{b}/logs/20/03"
    out = lines_run(
        seaweed,
        "ls",
        f"ls s3://{b}/",
        f'ls --exclude "logs/20/03/19*" "s3://{b}/*.gz"',
        f'ls --show-fullpath "{url}/19/*.txt"',
        f"du --humanize '{url}/*'",
        f'du --group "{url}/18/o*.gz"',
        f'du --exclude "*.gz" --exclude "request*" "{url}/19/*"',
        f"head s3://{b}",
        f"head {url}/18/one.gz",
        f"presign --expire 24h {url}/18/one.gz",
        f"cat {url}/19/access_a.log",
    )
    assert re.search(rf" {b}\n", out)
    assert " logs/20/03/18/one.gz\n" in out
    assert f"\n{url}/19/request.txt\n" in out
    assert "15 B in 5 objects" in out
    assert "1 bytes in 1 object:" in out
    assert "4 bytes in 1 object:" in out
    assert re.search(r"http://\S+/logs/20/03/18/one\.gz\?\S*X-Amz-Expires=86400", out)
    assert "4444" in out
    assert "cat " not in out
    Path("commands.txt").write_text(f"cat s3://{b}/big\ncat '{url}/*.gz'\n")
    done = subprocess.run(
        arguments("run", "commands.txt"), env=environment(**on(seaweed)), capture_output=True, timeout=PATIENCE_S
    )
    assert (done.returncode, problems(done.stderr.decode())) == (0, "")
    assert done.stdout in (body + b"133322", b"133322" + body)


def test_stdin_is_for_one_line(seaweed: RunningServer, b: str) -> None:
    """The first pipe has it; another one fails by name, and so does one in a file of commands that is stdin."""
    line = f'pipe --metadata "size=1x2" s3://{b}-2/piped'
    lines_run(seaweed, line, f"pipe s3://{b}-2/again", status=1, given=b"from stdin")
    assert in_bucket(seaweed, f"{b}-2") == {"piped": b"from stdin"}
    assert seaweed.client().head_object(Bucket=f"{b}-2", Key="piped")["Metadata"] == {"size": "1x2"}


@pytest.mark.parametrize("line", ["bucket-version s3://b", "select json --query q s3://b/k"])
def test_what_is_not_taken(seaweed: RunningServer, b: str, line: str) -> None:
    """The line fails, with what to do instead, and the others are carried out."""
    Path("commands.txt").write_text(f"{line}\ncp s3://{b}/logs/20/03/18/one.gz .\n")
    done = run("run", "commands.txt", variables=on(seaweed))
    assert done.returncode == 1
    assert re.search(rf"commands.txt:1: '{line.split()[0]}' is no command for a line: .*(aws s3|`cat`)", done.stderr)
    assert Path("one.gz").read_bytes() == b"1"


def test_options_before_the_command(seaweed: RunningServer, b: str) -> None:
    """A dry run of one line changes nothing."""
    out = lines_run(seaweed, f"s5cmd --dry-run cp 's3://{b}/logs/20/03/18/*' s3://{b}-2/")
    assert out == f"(dry run) cp s3://{b}/logs/20/03/18/one.gz s3://{b}-2/one.gz\n"
    assert in_bucket(seaweed, f"{b}-2") == {}


@pytest.mark.parametrize("list_of_keys", [False, True], ids=["run", "files-from"])
def test_a_fifo(seaweed: RunningServer, b: str, list_of_keys: bool) -> None:
    """It is waited for: Ctrl-C works before anybody writes to it, and what is written later is carried out."""
    os.mkfifo("fifo")
    words = ["cp", "--files-from", "fifo", f"s3://{b}/", "out"] if list_of_keys else ["run", "fifo"]
    text = "logs/20/03/18/one.gz\n" if list_of_keys else f"cp s3://{b}/logs/20/03/18/one.gz out/logs/20/03/18/one.gz\n"
    with started(*words, server=seaweed) as waiting:
        eventually(lambda: "fifo" in opened(waiting.pid), "it opens the FIFO")
        time.sleep(1.0)  # what opens it is not yet what waits
        waiting.send_signal(2)
        assert waiting.wait(PATIENCE_S) == 130, waiting.communicate()
    with started(*words, server=seaweed) as reading:
        Path("fifo").write_text(text)
        assert reading.wait(PATIENCE_S) == 0, reading.communicate()
    assert files(Path("out")) == {"logs/20/03/18/one.gz": b"1"}
