"""``bulkhaul bench run``, ``replay``, ``report`` and ``compare`` as a user runs them, before a server 20 ms away."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from bench.distant_server.launch import DistantServer, distant_server

from bulkhaul.embedded.ports import free_ports
from tests.integration.benchmark.measuring import statistics
from tests.integration.command import arguments, environment, run
from tests.integration.test_cli_terminal import Terminal
from tests.patience import PATIENCE_S
from tests.servers.moto import moto

SMALL = ("--size", "4KiB", "--objects", "40", "--concurrency", "4")


@pytest.fixture(scope="module")
def server() -> Iterator[DistantServer]:
    """A server whose replies begin 20 ms after their requests."""
    with distant_server(["--keep", "--latency-ms", "20", "--rate", "60"]) as running:
        yield running


@pytest.fixture
def variables(server: DistantServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Run commands in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ":".join(str(Path(part).resolve()) for part in sys.path if part))
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "BULKHAUL_STATE_DIR": str(tmp_path / "state"),
    }


def result(folder: str) -> dict[str, Any]:
    """Return a result."""
    found: dict[str, Any] = json.loads((Path(folder) / "result.json").read_bytes())
    return found


def bench(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``bulkhaul bench``, which is to succeed, steady or not."""
    done = run("bench", *words, variables=variables)
    assert done.returncode in (0, 3), done.stderr
    return done


def test_a_run_and_its_reports(variables: dict[str, str]) -> None:
    """What is printed is in the result; the report has its forms, and a second run needs a folder of its own."""
    done = bench(variables, "run", "get", "s3://bench/tmp/", *SMALL, "--duration", "3s", "--out", "one")
    (measured,) = result("one")["runs"]
    assert f"run 1: {measured['requests_per_s']:,.1f} requests/s" in done.stdout
    assert measured["limit"]["sentence"] in done.stdout
    assert "at best, by plain sockets: " in done.stderr
    assert "one: result.json, report.html" in done.stdout
    done = bench(variables, "report", "one", "--markdown", "--csv")
    assert done.stdout.split() == ["one/report.md", "one/operations.csv", "one/windows.csv"]
    again = run("bench", "run", "get", "s3://bench/tmp/", *SMALL, "--out", "one", variables=variables)
    assert (again.returncode, "one is not empty" in again.stderr) == (2, True)


def test_no_secret_is_in_a_result(variables: dict[str, str]) -> None:
    """Neither keys, nor a presigned URL of the floors, nor the name of this machine."""
    bench(variables, "run", "get", "s3://bench/tmp/", *SMALL, "--duration", "1s", "--out", "one", "--op-log")
    texts = [
        zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
        for path in Path("one").glob("*.zst")
    ]
    assert len(texts) == 1
    texts += [path.read_text() for path in Path("one").iterdir() if path.suffix in (".json", ".html")]
    assert len(texts) == 3
    secret = environment()["AWS_SECRET_ACCESS_KEY"]
    name = re.compile(rf"\b{re.escape(platform.node())}\b")
    for text in texts:
        assert secret not in text
        assert "X-Amz-Signature" not in text
        # Base64 of a font may hold any short word.
        assert not name.search(re.sub("base64,[^)\"']*", "", text))


def test_two_places_in_turns(variables: dict[str, str]) -> None:
    """Several URLs are measured in turns, and compared."""
    words = ("s3://bench/a/", "s3://bench/b/", *SMALL, "--duration", "1s", "--repeat", "2", "--out", "both")
    done = bench(variables, "run", "stat", *words)
    began = [(one["began"], place) for place in ("1", "2") for one in result(f"both/{place}")["runs"]]
    assert [place for _, place in sorted(began)] == ["1", "2", "1", "2"]
    assert "both/2 (s3://bench/b/) against both/1 (s3://bench/a/), the base: 2 runs against 2 runs" in done.stdout


def test_a_place_that_is_worse_by_more_than_a_threshold(variables: dict[str, str]) -> None:
    """With --threshold a URL whose objects take longer than those of the first ends the command with 1."""
    prefixes = [
        bench(variables, "prepare", "s3://bench/", "--size", size, "--objects", "4").stdout.strip()
        for size in ("4KiB", "8MiB")
    ]
    words = ("-c", "2", "--duration", "1s", "--repeat", "3", "--threshold", "5%", "--json", "--out", "both")
    done = run("bench", "run", "get", *prefixes, *words, variables=variables)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in told[-3:]] == ["comparison", "summary", "summary"]
    (compared,) = [line for line in told if line["type"] == "comparison"]
    assert compared["differences"] == ["not the same was asked: sizes differ: 4KiB and 8MiB"]
    regressions = [metric["name"] for metric in compared["metrics"] if metric["regression"]]
    assert (done.returncode, "get, whole request, p50" in regressions) == (1, True), done.stdout + done.stderr
    lasted = [line["seconds"] for line in told if line["type"] == "run"]
    windows = [line["at_s"] + line["length_s"] for line in told if line["type"] == "window"]
    ends = [end for end, after in zip(windows, [*windows[1:], 0], strict=True) if after < end]
    assert ends == pytest.approx(lasted, abs=0.01)  # the last window of each run is as long as it was


def test_a_log_is_run_again(variables: dict[str, str]) -> None:
    """All of its requests are made again, in half of the time, and none on the objects of the log."""
    words = ("s3://bench/tmp/", *SMALL, "--rate", "40", "--duration", "4s", "--op-log", "--out", "one")
    bench(variables, "run", "mixed", "--mix", "get=70,put=20,list=5,stat=5", *words)
    terminal = Terminal(
        "bench",
        "replay",
        "one/ops-1.csv.zst",
        "s3://bench/other/",
        "--speed",
        "2x",
        "--out",
        "again",
        variables=variables,
    )
    shown = terminal.read_until()
    assert terminal.close() == 0, shown  # steady or not
    assert "all of it counts: the log said what was due when" in shown
    left = [int(found) for found in re.findall(r"(\d+) s left", shown)]
    assert left
    assert max(left) <= 2  # of 4 s, twice as fast
    first, second = result("one")["runs"][0], result("again")["runs"][0]

    def done(measured: dict[str, Any]) -> dict[str, int]:
        names = {name for window in measured["windows"] for name in window["done"]}
        return {name: sum(window["done"].get(name, 0) for window in measured["windows"]) for name in names}

    assert done(first) == done(second)
    assert not second["failures"]
    assert second["seconds"] < 0.75 * first["seconds"]
    assert result("again")["open_loop"]
    assert second["steady"] == {"from_s": 0, "to_s": second["steady"]["to_s"], "reached": True, "replayed": True}
    assert sum(one["done"] for one in second["measured"]) == sum(done(second).values())


def test_sizes_like_others(variables: dict[str, str]) -> None:
    """Sizes are drawn like those below a prefix, or of a manifest."""
    bench(variables, "prepare", "s3://bench/like/", "--size", "weights:1000=50,70000=50", "--objects", "30")
    Path("manifest.csv").write_text("bench,a,1000\nbench,b,70000\n")
    bench(variables, "run", "get", "s3://bench/t/", "--size", "like:s3://bench/like/", *SMALL[2:], "--duration", "1s",
          "--out", "one")  # fmt: skip
    size = result("one")["workload"]["size"]
    assert {part.partition("=")[0] for part in size.removeprefix("weights:").split(",")} >= {"1000", "70000"}
    bench(variables, "clean", "s3://bench/like/")


def test_a_workload_file(variables: dict[str, str]) -> None:
    """A file holds all of it; an option that is typed stands in place of what it says."""
    Path("load.toml").write_text(
        'mix = {get = 3, put = 1}\nsize = "2KiB"\nobjects = 8\nduration_s = 60\nconcurrency = 2\n'
    )
    bench(variables, "run", "--workload", "load.toml", "s3://bench/tmp/", "--duration", "1s", "--out", "one")
    workload = result("one")["workload"]
    assert (workload["mix"], workload["size"], workload["duration_s"]) == ({"get": 3, "put": 1}, "2KiB", 1)
    Path("bad.toml").write_text("mix = {get = 1}\nobjcts = 8\n")
    done = run("bench", "run", "--workload", "bad.toml", "s3://bench/tmp/", variables=variables)
    assert (done.returncode, "objcts" in done.stderr, "objects" in done.stderr) == (2, True, True)


def test_a_workload_of_aws_crt(variables: dict[str, str]) -> None:
    """Its lines are printed, and its uploads are gone at the end."""
    task = {"action": "upload", "key": "u/1", "size": 100_000}
    workload = {"version": 2, "comment": "", "filesOnDisk": True, "checksum": None, "maxRepeatCount": 2,
                "maxRepeatSecs": 60, "tasks": [task]}  # fmt: skip
    Path("u.run.json").write_text(json.dumps(workload))
    done = run("bench", "run", "--workload", "u.run.json", "s3://bench/crt/", variables=variables)
    assert done.returncode == 0, done.stderr
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == ["Run:1", "Run:2"]
    assert "Gb/s:" in done.stdout
    assert run("ls", "-r", "--json", "s3://bench/crt/", variables=variables).stdout.count('"object"') == 0


def test_bodies_on_a_disk(variables: dict[str, str]) -> None:
    """They are written to files without a name, of which nothing is left; the result and its page hold no path."""
    Path("my-disk").mkdir()
    bench(variables, "run", "get", "s3://bench/tmp/", *SMALL, "--duration", "1s", "--to", "my-disk", "--out", "one")
    assert result("one")["floors"]["disk_bytes_per_s"] > 0
    assert not list(Path("my-disk").iterdir())
    assert result("one")["workload"]["folder"] == "a folder"
    assert "my-disk" not in Path("one", "result.json").read_text() + Path("one", "report.html").read_text()
    assert "written to a folder" in Path("one", "report.html").read_text()
    done = run("bench", "run", "get", "s3://bench/tmp/", *SMALL, "--to", "none", "--out", "two", variables=variables)
    assert (done.returncode, "none" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_objects_that_stay(variables: dict[str, str]) -> None:
    """Their prefix is told, to people and to programs, and ``clean`` deletes it."""
    words = ("run", "stat", "s3://bench/stay/", *SMALL, "--duration", "1s", "--keep")
    (prefix,) = re.findall(
        r"^objects stay below (s3:\S+);", bench(variables, *words, "--out", "one").stdout, re.MULTILINE
    )
    assert prefix == result("one")["url"]
    told = [json.loads(line) for line in bench(variables, *words, "--json", "--out", "two").stdout.splitlines()]
    assert told[0] == {"type": "prefix", "prefix": result("two")["url"]}
    cleaned = bench(variables, "clean", "--all", "s3://bench/stay/").stdout
    for folder in ("one", "two"):
        assert f"{result(folder)['url']}: 41 objects deleted" in cleaned  # 40, and their record


def test_sizes_that_are_too_large(variables: dict[str, str]) -> None:
    """How many of them count as the largest is said, before anything else may be found wrong."""
    sizes = (1000, 1 << 30, (1 << 30) + 1, 5 << 40)
    lines = [json.dumps({"bucket": "bench", "key": str(size), "size_bytes": size}) for size in sizes]
    Path("manifest.jsonl").write_text("\n".join(lines))
    done = run("bench", "run", "list", "s3://bench/t*", "--size", "like:manifest.jsonl", variables=variables)
    assert "2 of 4 objects are larger than a benchmark's can be; they count as 1.0 GiB" in done.stderr
    assert "without wildcards" in done.stderr


def test_what_is_found_wrong_before_anything_is_asked(variables: dict[str, str]) -> None:
    """No folder is made for a result that will never be: of a taken port, or sizes of nothing."""
    words = ("bench", "run", "get", "s3://bench/tmp/", *SMALL[2:], "--out", "one")
    with free_ports(1) as (port,), socket.create_server(("127.0.0.1", port)):
        done = run(*words, "--metrics", str(port), variables=variables)
    assert (done.returncode, f"127.0.0.1:{port}" in done.stderr) == (1, True)
    done = run(*words, "--size", "like:s3://bench/none/", variables=variables)
    assert (done.returncode, "nothing is there" in done.stderr) == (2, True)
    assert not Path("one").exists()


def test_metrics(variables: dict[str, str]) -> None:
    """They are served while it runs, on one address of this machine, which others cannot reach."""
    with free_ports(1) as (port,):
        pass
    words = (
        "bench",
        "run",
        "get",
        "s3://bench/tmp/",
        *SMALL,
        "--duration",
        "6s",
        "--out",
        "one",
        "--metrics",
        str(port),
    )
    process = subprocess.Popen(arguments(*words), env=environment(**variables), stderr=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + PATIENCE_S
    text = ""
    while 'bulkhaul_bench_requests_total{operation="get"}' not in text:
        assert time.monotonic() < deadline_s, text
        assert process.poll() is None
        time.sleep(0.2)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                text = reply.read().decode()
        except OSError:
            continue  # it does not listen yet
    with pytest.raises(ConnectionRefusedError):  # where a server that listens on all addresses is heard, too
        socket.create_connection(("127.0.0.2", port), timeout=5)
    assert process.poll() is None
    assert process.wait(PATIENCE_S) in (0, 3)
    assert process.stderr is not None
    process.stderr.close()
    assert 'bulkhaul_bench_latency_seconds{quantile="0.99"}' in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run",), "what is to be measured"),
        (("run", "gte", "s3://b/p/"), "cannot be measured"),
        (("run", "get", "b/p"), "s3://"),
        (("run", "get", "s3://b/p*"), "without wildcards"),
        (("run", "get", "s3://b/p/", "--size", "big"), "is no size of objects"),
        (("run", "get", "s3://b/p/", "--size", "2GiB"), "at most 1 GiB"),
        (("run", "get", "s3://b/p/", "--rate", "0"), "is no number of requests"),
        (("run", "get", "s3://b/p/", "--mix", "get=1"), "--mix is of mixed"),
        (("run", "mixed", "s3://b/p/", "--mix", "get"), "no operation with a weight"),
        (("run", "get", "s3://b/p/", "--range", "x"), "range"),
        (("run", "get", "s3://b/p/", "--threshold", "5%"), "--threshold compares several URLs"),
        (("run", "get", "s3://b/p/", "s3://b/q/", "--threshold", "x"), "is no threshold"),
        (("compare", "one"), "two results at least"),
        (("compare", "a", "b", "--threshold", "x"), "is no threshold"),
        (("replay", "x", "s3://b/p/", "--speed", "-1"), "Error: Invalid value for '--speed'"),
        (("--demo", "run"), "--demo takes no command"),
        (("--out", "bench-x", "run", "get", "s3://b/p/"), "--out stands behind run"),
    ],
)
def test_command_lines_that_make_no_sense(variables: dict[str, str], words: tuple[str, ...], says: str) -> None:
    """They end with 2, say why, and leave no folder."""
    done = run("bench", *words, variables=variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert not list(Path().glob("bench-*"))


@pytest.mark.parametrize(
    ("package", "words"),
    [("hdrh", ("run", "get", "s3://bench/tmp/")), ("zstandard", ("run", "get", "s3://bench/tmp/", "--op-log")),
     ("jinja2", ("run", "get", "s3://bench/tmp/")), ("matplotlib", ("run", "get", "s3://bench/tmp/")),
     ("hdrh", ("tune", "s3://bench/tmp/"))],
)  # fmt: skip
def test_a_package_that_is_missing(
    variables: dict[str, str], server: DistantServer, tmp_path: Path, package: str, words: tuple[str, ...]
) -> None:
    """It is told before the store is asked for anything, with the extra that brings it."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{package}.py").write_text("raise ImportError('it is not here')\n")
    path = f"{hidden}:{os.environ['PYTHONPATH']}"
    before = statistics(server.endpoint)["requests"]
    done = run("bench", *words, variables=variables | {"PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"this needs {package}; pip install 'bulkhaul[bench]' (cause: it is not here)\n")
    assert statistics(server.endpoint)["requests"] == before + 1, "all but the question for the statistics"
    assert not list(tmp_path.glob("bench-*"))


@pytest.mark.parametrize("words", [("report", "none"), ("compare", "none", "none"), ("replay", "none", "s3://b/p/")])
def test_a_result_that_is_not_there(variables: dict[str, str], words: tuple[str, ...]) -> None:
    """It is named, and nothing is to be created."""
    done = run("bench", *words, variables=variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert "none: there is no such file or folder; check its path" in done.stderr
    assert not list(Path().glob("bench-*"))


def test_nothing_succeeds(tmp_path: Path) -> None:
    """A bucket that does not exist ends it at once, with one line, and leaves neither a record nor a folder."""
    with moto() as empty:
        variables = {
            "AWS_ACCESS_KEY_ID": empty.access_key,
            "AWS_SECRET_ACCESS_KEY": empty.secret_key,
            "AWS_ENDPOINT_URL": empty.endpoint_url,
            "AWS_REGION": "us-east-1",
            "BULKHAUL_STATE_DIR": str(tmp_path / "state"),
        }
        out = tmp_path / "out"
        done = run("bench", "run", "get", "s3://none/tmp/", *SMALL, "--out", out, variables=variables)
        assert done.returncode == 1
        assert done.stderr.count("error: ") == 1
        assert "none" in done.stderr
        assert not out.exists()
        assert list((tmp_path / "state" / "benchmarks").iterdir()) == []
