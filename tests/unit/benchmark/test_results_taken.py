"""What ``bench report`` and ``compare`` take for a result, and where a report goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkhaul.benchmark.op_log import Op, write
from bulkhaul.benchmark.results import written
from bulkhaul.cli.bench_results import read_result, write_report
from bulkhaul.model.errors import TransferError, UsageError

from .made_up import made_result, small_run


def test_a_result_of_a_newer_version(tmp_path: Path) -> None:
    """It is refused, with what to do, whatever else is in it."""
    (tmp_path / "result.json").write_text('{"format": 2, "version": "9.1", "runs": "other"}')
    with pytest.raises(UsageError, match=r"written by a newer version of bulkhaul, 9\.1; upgrade"):
        read_result(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "data", "status", "says"),
    [
        ("a.json", b"{}", 2, "holds no result"),
        ("a.json", b"\xff", 2, "holds no result"),
        ("a.csv", b"a\tb\n", 2, "this is no op-log"),
        ("a.csv", None, 1, "there is no such file"),
    ],
)
def test_the_status_of_what_is_no_result(tmp_path: Path, name: str, data: bytes | None, status: int, says: str) -> None:
    """docs/bench.md: 1 of a file that is not there, 2 of one that holds none."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(TransferError, match=says) as caught:
        read_result(str(tmp_path / name))
    assert caught.value.exit_code == status


def test_a_result_with_a_damaged_histogram_is_named(tmp_path: Path) -> None:
    """Of several results that are compared, it is the one to look at."""
    result = made_result(small_run())
    histogram = result.runs[0].measured[0].whole.histogram
    file = tmp_path / "result.json"
    file.write_bytes(written(result).replace(histogram.encode(), histogram[:40].encode()))
    with pytest.raises(UsageError, match=rf"^{tmp_path}: the result is damaged: a histogram of it"):
        read_result(str(tmp_path))


def test_a_report_goes_where_the_result_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether its folder is named or its file; that of an op-log would replace another, so it needs a folder."""
    file = tmp_path / "result.json"
    file.write_bytes(written(made_result(small_run())))
    for named in (tmp_path, file):
        write_report(str(named), ["csv"], "")
        assert capsys.readouterr().out.split() == [str(tmp_path / f"{name}.csv") for name in ("operations", "windows")]
    log = tmp_path / "ops-1.csv"
    write(log, [Op(0, "GET", "a", 1, 9, "http://s", "key", "", 1, 2, 2, 3)])
    with pytest.raises(UsageError, match="name a folder for its report with --out"):
        write_report(str(log), ["csv"], "")
    write_report(str(log), ["csv"], str(tmp_path / "of-log"))
    assert (tmp_path / "of-log" / "operations.csv").exists()
