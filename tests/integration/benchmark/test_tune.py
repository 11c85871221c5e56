"""``bench tune`` finds what a store likes, and writes it as a profile that the commands obey."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from bench.distant_server.launch import distant_server
from botocore.configloader import load_config

from bulkhaul import AsyncEngine
from bulkhaul.benchmark import running, tune
from bulkhaul.cli.bench_tune import tune_work
from bulkhaul.model.errors import LocalError, TransferError, UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.workloads import Workload
from tests.integration.command import run


class Kept:
    """Keeps the lines of a command, which nobody interrupts."""

    interrupted = False

    def __init__(self) -> None:
        self.out: list[str] = []
        self.err: list[str] = []

    async def write(self, text: str) -> None:
        """Keep lines of stdout."""
        self.out.append(text)

    def last_words(self, text: str) -> None:
        """Take what a second signal would tell."""

    def error(self, text: str) -> None:
        """Keep lines of stderr."""
        self.err.append(text)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure less, for less long."""
    monkeypatch.setattr(running, "CLIMB_S", 0.5)
    monkeypatch.setattr(tune, "TRY_S", 0.5)
    monkeypatch.setattr(tune, "ROUNDS", 1)
    monkeypatch.setattr(tune, "SMALL", Workload(mix={"get": 1}, size="4KiB", objects=50))
    monkeypatch.setattr(tune, "LARGE", Workload(mix={"get": 1}, size="8MiB", objects=2, range="1MiB"))
    monkeypatch.setattr(tune, "RANGES", (5 * MIB, 8 * MIB))


async def tuned(endpoint: str, kept: Kept, **options: object) -> int:
    """Run the command's work; all of its objects are gone then."""
    choices = {"profile_name": "store", "write": "", "as_json": False, **options}
    async with AsyncEngine(endpoint_url=endpoint, region="us-east-1") as engine:
        status = await tune_work("s3://bench/some/", **choices)(engine, kept)  # type: ignore[arg-type]
        assert [one async for one in engine.list("s3://bench/")] == []
    return status


def test_a_profile_that_commands_obey(tmp_path: Path) -> None:
    """Far away, more connections bring more; what is found is in force with ``--profile``, and objects are gone."""
    config, kept = tmp_path / "config", Kept()
    config.write_text("[default]\nregion = eu-west-1\n")
    with distant_server(["--keep", "--latency-ms", "30", "--rate", "60"]) as server:
        assert asyncio.run(tuned(server.endpoint, kept, write=str(config))) == 0
        (profile,) = kept.out
        assert config.read_text() == f"[default]\nregion = eu-west-1\n\n{profile}"
        connections = int(profile.partition("max_concurrent_requests = ")[2].split()[0])
        assert connections >= 16, "8 connections bring half of what 16 bring"
        variables = {"AWS_CONFIG_FILE": str(config)}
        words = ("cp", "-v", "--profile", "store", "--no-sign-request", "s3://bench/none", tmp_path / "none")
        done = run(*words, variables=variables)
    assert server.endpoint in done.stderr
    assert f"concurrency = {connections} ({config}, profile store" in done.stderr
    with pytest.raises(UsageError, match="has a profile store"):
        asyncio.run(_again(config, kept))


async def _again(config: Path, kept: Kept) -> None:
    with distant_server(["--keep", "--latency-ms", "1"]) as server:
        await tuned(server.endpoint, kept, write=str(config))


@pytest.mark.parametrize("name", ["store", "default", "my store"])
def test_a_profile_has_the_name_that_was_asked_for(name: str) -> None:
    """The SDK finds it by that name: the default one has a heading of its own."""
    found = tune.Tuning("http://store:9000", "eu-west-1", 32, 8 * MIB, ())
    text = tune.profile(found, name)
    with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
        file.write(text)
        file.flush()
        profiles = load_config(file.name)["profiles"]
    assert list(profiles) == [name]
    assert profiles[name]["endpoint_url"] == "http://store:9000"
    assert (text.splitlines()[0] == "[default]") == (name == "default")


@pytest.mark.parametrize("name", ["", "a\nb", "a]\n[b"])
def test_what_is_no_name(name: str) -> None:
    """It is refused before anything is measured."""
    with pytest.raises(UsageError, match="no profile can have this name"):
        asyncio.run(tuned("http://127.0.0.1:1", Kept(), profile_name=name))


def test_a_profile_that_is_there_already(tmp_path: Path) -> None:
    """However its heading is written, no second one is added, and that is said before anything is measured."""
    config = tmp_path / "config"
    for name, text in {
        "default": "[profile default]\n",
        "store": "[profile   'store']\n",
        "x": "[default]\n[x\n",
    }.items():
        config.write_text(text)
        with pytest.raises(UsageError, match=r"has a profile|cannot be parsed"):
            asyncio.run(tuned("http://127.0.0.1:1", Kept(), profile_name=name, write=str(config)))
        assert config.read_text() == text


def test_what_cannot_be_added_to(tmp_path: Path) -> None:
    """It is named before anything is measured, and left as it is: a file of bytes, a folder, a path through a file."""
    (tmp_path / "latin").write_bytes(b"[default]\n# Gr\xfc\xdfe\n")
    for name, says in {"latin": "is no text in UTF-8", ".": "a folder is in the place", "latin/x": "is a file"}.items():
        with pytest.raises(TransferError, match=says):
            asyncio.run(tuned("http://127.0.0.1:1", Kept(), write=str(tmp_path / name)))
    assert (tmp_path / "latin").read_bytes() == b"[default]\n# Gr\xfc\xdfe\n"


def test_a_file_that_is_gone_when_the_profile_is_found(tmp_path: Path) -> None:
    """The profile is printed all the same."""
    config = tmp_path / "config"

    class Replacing(Kept):
        def error(self, text: str) -> None:
            super().error(text)
            config.mkdir(exist_ok=True)

    kept = Replacing()
    with (
        distant_server(["--keep", "--latency-ms", "1"]) as server,
        pytest.raises(LocalError, match="a folder is in the place"),
    ):
        asyncio.run(tuned(server.endpoint, kept, write=str(config)))
    (profile,) = kept.out
    assert profile.startswith("[profile store]\n")


def test_lines_of_json() -> None:
    """A line for each number that was tried, and a summary with the profile."""
    kept = Kept()
    with distant_server(["--keep", "--latency-ms", "1"]) as server:
        assert asyncio.run(tuned(server.endpoint, kept, as_json=True)) == 0
    *tries, summary = [json.loads(line) for line in kept.out]
    assert {line["type"] for line in tries} == {"run"}
    assert {line["what"] for line in tries} == {"small", "large", "range"}
    assert (summary["type"], kept.err) == ("summary", [])
    assert f"max_concurrent_requests = {summary['concurrency']}" in summary["profile"]
