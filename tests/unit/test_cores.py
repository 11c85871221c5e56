"""How many cores a process may use, by the control groups that it is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bulkhaul.model import settings
from bulkhaul.model.cores import cpu_quota, usable_cores
from bulkhaul.model.settings import Settings


def groups(folder: Path, text: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write what the kernel would show; return where control groups are mounted, and the file that names one's own."""
    mount = folder / "mount"
    mount.mkdir()
    for name, content in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(content)
    (folder / "own").write_text(text)
    return mount, folder / "own"


@pytest.mark.parametrize(
    ("text", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "500000 100000"}, 3),
        ("0::/not/visible/here\n", {"cpu.max": "400000 100000"}, 4),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/a\n", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/\n", {"cpu.max": "what is this"}, None),
        ("0::/\n", {"cpu.max": "100000 0"}, None),
        ("", {}, None),
    ],
)
def test_the_least_quota_of_all_groups_around(
    tmp_path: Path, text: str, files: dict[str, str], cores: int | None
) -> None:
    """cgroups(7): a group may use what it is given, and never more than those that it is in."""
    assert cpu_quota(*groups(tmp_path, text, files)) == cores


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    """Neither the mount nor the file of the process is there."""
    assert cpu_quota(tmp_path / "mount", tmp_path / "own") is None


def test_a_process_uses_the_cores_that_it_may_run_on() -> None:
    """Not those that the machine has."""
    allowed = os.sched_getaffinity(0)
    usable_cores.cache_clear()
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
        usable_cores.cache_clear()


@pytest.mark.parametrize(("cores", "workers"), [(1, 2), (2, 2), (5, 5), (64, 8)])
def test_one_worker_a_core_by_default(cores: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at least and eight at most, unless a number is named."""
    monkeypatch.setattr(settings, "usable_cores", lambda: cores)
    assert Settings().worker_count == workers
    assert Settings(workers=3).worker_count == 3
    assert Settings(concurrency=1).worker_count == 1
