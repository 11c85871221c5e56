"""Workloads in files: our own, and those of aws-crt-s3-benchmarks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bulkhaul.benchmark.workload_files import CrtTask, crt_line, read_crt_workload, read_workload
from bulkhaul.model.errors import LocalError, UsageError
from bulkhaul.model.workloads import Workload


def kept(folder: Path, text: str, name: str = "w.toml") -> Path:
    """Return the path of a file with a text."""
    path = folder / name
    path.write_text(text)
    return path


class TestOurs:
    """TOML files."""

    def test_a_file_holds_all_fields(self, tmp_path: Path) -> None:
        """Every field can stand in a file; numbers without a fraction are numbers, too."""
        path = kept(
            tmp_path,
            """
            size = "lognormal:1MiB,σ=1.5"
            objects = 5000
            prefixes = 4
            order = "sequential"
            range = "64KiB"
            compressible = 2
            duration_s = 30
            concurrency = 64
            rate = 100.5
            repeat = 3
            seed = 7
            folder = "/scratch"
            [mix]
            get = 70
            put = 20.5
            list = 5
            delete = 4.5
            """,
        )
        assert read_workload(path) == Workload(
            mix={"get": 70, "put": 20.5, "list": 5, "delete": 4.5},
            size="lognormal:1MiB,σ=1.5",
            objects=5000,
            prefixes=4,
            order="sequential",
            range="64KiB",
            compressible=2,
            duration_s=30,
            concurrency=64,
            rate=100.5,
            repeat=3,
            seed=7,
            folder="/scratch",
        )

    def test_what_is_left_out_is_as_without_a_file(self, tmp_path: Path) -> None:
        """A mix is enough."""
        assert read_workload(kept(tmp_path, "mix = {get = 1}")) == Workload(mix={"get": 1})

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("mix = {get = 1}\nobjcts = 5", "no such field: objcts; did you mean objects?"),
            ("mix = {get = 1}\nzzz = 5", "no such field: zzz; there are mix, size,"),
            ("mix = {gett = 1}", "no such operation in mix: gett; did you mean get?"),
            ('mix = {get = 1}\nobjects = "many"', "objects: Expected `int`, got `str`"),
            ('mix = {get = "x"}', "mix[...]: Expected `float`, got `str`"),
            ('mix = {get = 1}\norder = "backwards"', "order: Invalid enum value 'backwards'"),
            ("objects = 5", "object missing required field `mix`"),
            ("mix = {}", "the mix is empty"),
            ("mix = {get = 1}\nrepeat = 0", "repeat must be 1 to 1000, not 0"),
            ('mix = {get = 1}\nsize = "big"', "'big' is no size of objects"),
            ('mix = {get = 1}\nrange = "far"', "range: 'far' is not a size"),
            ("mix = {get = 1", "this file is no TOML"),
        ],
    )
    def test_says_which_field_of_which_file_is_wrong(self, tmp_path: Path, text: str, told: str) -> None:
        """A field that is unknown, of another type or out of range is named, with its file."""
        path = kept(tmp_path, text)
        with pytest.raises(UsageError, match=re.escape(told)) as refused:
            read_workload(path)
        assert str(refused.value).startswith(f"{path}: ")

    def test_says_that_there_is_no_file(self, tmp_path: Path) -> None:
        """A path that is wrong is named."""
        with pytest.raises(LocalError, match=r"none\.toml"):
            read_workload(tmp_path / "none.toml")


def crt(**fields: Any) -> str:
    """Return a file as its README shows one, with other fields."""
    shown = {
        "version": 2,
        "comment": "Use case is an AI company with tons of JPGs",
        "filesOnDisk": True,
        "checksum": None,
        "maxRepeatCount": 10,
        "maxRepeatSecs": 600,
        "tasks": [
            {"action": "download", "key": "download/256KiB-10_000x/00001", "size": 262144},
            {"action": "upload", "key": "upload/256KiB-10_000x/00002", "size": 5},
        ],
    }
    return json.dumps({**shown, **fields})


class TestCrt:
    """Files of aws-crt-s3-benchmarks."""

    def test_reads_what_its_readme_shows(self, tmp_path: Path) -> None:
        """All fields mean what the specification says."""
        workload = read_crt_workload(kept(tmp_path, crt(checksum="CRC32C")))
        assert (workload.files_on_disk, workload.checksum) == (True, "CRC32C")
        assert (workload.max_repeat_count, workload.max_repeat_secs) == (10, 600)
        assert workload.tasks[0] == CrtTask("download", "download/256KiB-10_000x/00001", 262144)
        assert workload.bytes_per_run == 262149

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"version": 3, "tasks": "new"}, "it has version 3; only version 2"),
            ({"checksum": "CRC64"}, "checksum: Invalid enum value 'CRC64'"),
            ({"tasks": []}, "tasks: there are none"),
            ({"tasks": [{"action": "copy", "key": "a", "size": 1}]}, "tasks[0].action: Invalid enum value 'copy'"),
            (
                {"tasks": [{"action": "upload", "key": "../a", "size": 1}]},
                "tasks[0].key: '../a' leads out of the folder",
            ),
            ({"tasks": [{"action": "upload", "key": "/etc/a", "size": 1}]}, "tasks[0].key: '/etc/a' leads out"),
            ({"tasks": [{"action": "upload", "key": "a", "size": -1}]}, "tasks[0].size: it must be 0 or more, not -1"),
            ({"maxRepeatCount": 0}, "maxRepeatCount: it must be 1 or more"),
            ({"maxRepeatSecs": "x"}, "maxRepeatSecs: Expected `int`"),
        ],
    )
    def test_says_which_field_is_wrong(self, tmp_path: Path, fields: dict[str, Any], told: str) -> None:
        """A field out of the specification is named, and a version that nobody knows is not guessed at."""
        path = kept(tmp_path, crt(**fields), "w.run.json")
        with pytest.raises(UsageError, match=re.escape(told)) as refused:
            read_crt_workload(path)
        assert str(refused.value).startswith(f"{path}: ")

    def test_fields_are_required(self, tmp_path: Path) -> None:
        """All fields are required, as the specification says."""
        text = crt().replace('"filesOnDisk": true, ', "")
        with pytest.raises(UsageError, match="missing required field `filesOnDisk`"):
            read_crt_workload(kept(tmp_path, text))
        with pytest.raises(UsageError, match="no JSON"):
            read_crt_workload(kept(tmp_path, "{"))

    def test_prints_their_line(self) -> None:
        """The line is that of their runners, "Run:%d Secs:%f Gb/s:%f", gigabits of 10^9 bits; their script reads it."""
        line = crt_line(3, 2.5, 1_250_000_000)
        assert line == "Run:3 Secs:2.500000 Gb/s:4.000000"
        assert re.match(r"^Run:\d+ .* Gb/s:(\d+\.\d+)", line)  # scripts/utils/metrics.py
