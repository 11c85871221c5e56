"""Op-logs as warp writes them: read, written, and made of what workers record."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.benchmark.op_log import Op, read, write
from bulkhaul.benchmark.op_log_recorded import recorded
from bulkhaul.benchmark.spools import Spool
from bulkhaul.engine.messages.load_run import FAILURE, FRAME, PUT_PLACE, ROW, ROWS, FailureKind
from bulkhaul.model.errors import LocalError, UsageError
from bulkhaul.model.workloads import OPERATIONS, FixedSize, ObjectTable
from bulkhaul.policy.nanoseconds import read_instant, write_instant

HEAD = (
    "idx\tthread\top\tclient_id\tn_objects\tbytes\tendpoint\tfile\terror"
    "\tstart\tfirst_byte\tlast_byte\tend\tduration_ns\tcat\n"
)
"""The first line, as ``Operations.CSV`` of warp writes it."""

# As warp's format string "%d\t%d\t%s…" fills them in: instants by RFC3339Nano, errors quoted by csvEscapeString.
PUT = (
    "0\t3\tPUT\tIv8a\t1\t10\thttp://h:9000\ta/b.rnd\t\t2026-01-02T03:04:05.5Z\t\t2026-01-02T03:04:05.75Z"
    "\t2026-01-02T03:04:06Z\t500000000\t0\n"
)
GET = (
    "1\t0\tGET\tIv8a\t1\t10\thttp://h:9000\ta/b.rnd\t\t2026-01-02T04:04:06.000000001+01:00"
    "\t2026-01-02T04:04:06.1+01:00\t\t2026-01-02T04:04:07+01:00\t999999999\t2\n"
)
FAILED = (
    '2\t0\tGET\tIv8a\t1\t10\thttp://h:9000\ta/c.rnd\t"said ""no"":\n# twice\t"\t2026-01-02T03:04:07Z\t\t'
    "\t2026-01-02T03:04:08Z\t1000000000\t0\n"
)
COMMENT = '# warp get --host="h:9000\n# \n'

NOON_NS = 1_767_323_045_000_000_000
"""2026-01-02T03:04:05Z: `date -d 2026-01-02T03:04:05Z +%s`."""

MADE_PUT = Op(3, "PUT", "Iv8a", 1, 10, "http://h:9000", "a/b.rnd", "", NOON_NS + 5 * 10**8, 0,
              NOON_NS + 75 * 10**7, NOON_NS + 10**9)  # fmt: skip


def kept(folder: Path, data: bytes, name: str = "log.csv") -> Path:
    """Return the path of a file with some bytes."""
    path = folder / name
    path.write_bytes(data)
    return path


class TestReading:
    """Logs of warp."""

    @pytest.mark.parametrize("compressed", [False, True])
    def test_reads_what_warp_writes(self, tmp_path: Path, *, compressed: bool) -> None:
        """Every column means what it means to warp: zones, fractions, quotes, comments; plain or compressed."""
        data = (HEAD + PUT + GET + FAILED + COMMENT).encode()
        path = kept(tmp_path, zstandard.compress(data) if compressed else data)
        put, get, failed = read(path)
        assert put == MADE_PUT
        assert get.start_ns == NOON_NS + 10**9 + 1
        assert (get.first_byte_ns, get.last_byte_ns) == (NOON_NS + 11 * 10**8, 0)
        assert failed.error == 'said "no":\n# twice\t'
        assert failed.end_ns - failed.start_ns == 10**9

    def test_reads_logs_of_old_and_of_others(self, tmp_path: Path) -> None:
        """Columns may be missing, stand elsewhere, or be unknown; lines may end as Windows has them."""
        text = (
            "idx\tthread\top\tn_objects\tbytes\tfile\terror\tstart\tfirst_byte\tend\tduration_ns\tcolour\r\n"
            "0\t12\tPUT\t1\t7\tx\t\t2019-11-13T17:07:06.3173431+01:00\t\t2019-11-13T17:07:06.3943418+01:00\t1\tred\r\n"
        )
        (op,) = read(kept(tmp_path, text.encode()))
        assert (op.thread, op.op, op.size_bytes, op.file, op.client_id, op.endpoint) == (12, "PUT", 7, "x", "", "")
        assert op.end_ns - op.start_ns == 76_998_700

    def test_reads_frames_one_after_another(self, tmp_path: Path) -> None:
        """Compressed logs that were put together with cat are one log."""
        data = zstandard.compress((HEAD + PUT).encode()) + zstandard.compress(GET.encode())
        assert [op.op for op in read(kept(tmp_path, data))] == ["PUT", "GET"]

    def test_keeps_nothing_in_memory(self, tmp_path: Path) -> None:
        """A log of 45 MB is read within a quarter of that, although it was compressed to a few KB."""
        path = kept(tmp_path, zstandard.compress(HEAD.encode() + PUT.encode() * 300_000))
        tracemalloc.start()
        try:
            for number, _ in enumerate(read(path)):
                if number > 40_000:
                    break
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 45_000_000 / 4

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "it is empty"),
            ("# warp\n", "it is empty"),
            ("a,b,c\n1,2,3\n", "names no column op, bytes, start, end"),
            (HEAD + "0\t3\tPUT\n", "line 2 is no request of an op-log .cause: it has 3 columns, not 15"),
            (HEAD + PUT + PUT.replace("\t10\t", "\tten\t"), "line 3 is no request"),
            (HEAD + PUT.replace("2026-01-02T03:04:06Z", "yesterday"), "'yesterday' is no instant"),
            (HEAD + PUT.replace("2026-01-02T03:04:06Z", "2026-01-02T03:04:04Z"), "ends before it begins"),
            (HEAD + PUT.replace("2026-01-02T03:04:06Z", "2026-13-02T03:04:04Z"), "line 2 is no request"),
            (HEAD + "x" * 2_000_000, "a line of more than 1 MiB"),
        ],
    )
    def test_says_which_line_is_wrong(self, tmp_path: Path, text: str, told: str) -> None:
        """What is no op-log is refused, with its name, the line and the reason."""
        path = kept(tmp_path, text.encode())
        with pytest.raises(UsageError, match=told) as refused:
            list(read(path))
        assert str(path) in str(refused.value)

    def test_says_that_a_compressed_log_is_cut_off(self, tmp_path: Path) -> None:
        """A log of a run that was killed does not pass for one of a shorter run, nor one that is damaged."""
        data = zstandard.compress((HEAD + PUT * 50_000).encode())
        with pytest.raises(UsageError, match="cut off"):
            list(read(kept(tmp_path, data[: len(data) - 5])))
        with pytest.raises(UsageError, match="cannot be read"):
            list(read(kept(tmp_path, data[:20] + b"\xff" * 20 + data[40:])))

    def test_says_that_there_is_no_file(self, tmp_path: Path) -> None:
        """A path that is wrong is told as such."""
        with pytest.raises(LocalError, match="nothing"):
            list(read(tmp_path / "nothing"))


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
INSTANT = st.integers(min_value=1, max_value=4 * 10**18)


class TestWriting:
    """Logs that warp can read."""

    def test_writes_what_warp_writes(self, tmp_path: Path) -> None:
        """Lines and comment are to the byte what warp writes of the same request; only the category is always 0."""
        path = tmp_path / "log.csv"
        failed = next(iter(read(kept(tmp_path, (HEAD + FAILED.replace("2\t0", "0\t0", 1)).encode(), "given"))))
        assert write(path, [MADE_PUT, failed], 'warp get --host="h:9000\n') == 2
        expected = HEAD + PUT + FAILED.replace("2\t0", "1\t0", 1) + '# warp get --host="h:9000\n'
        assert path.read_text() == expected

    def test_compresses_by_name(self, tmp_path: Path) -> None:
        """A name that ends in .zst is compressed, as any program for zstd reads it."""
        path = tmp_path / "log.csv.zst"
        write(path, [MADE_PUT])
        with path.open("rb") as file:
            plain = zstandard.ZstdDecompressor().stream_reader(file).read()
        assert plain.decode() == HEAD + PUT

    @given(st.lists(st.tuples(FIELD, FIELD, FIELD, INSTANT, st.integers(0, 10**15)), max_size=5))
    def test_what_is_written_is_read(self, rows: list[tuple[str, str, str, int, int]]) -> None:
        """Whatever stands in a key or an error comes back."""
        ops = [
            Op(1, "GET", "c", 1, 5, endpoint, file, error, start_ns, 0, 0, start_ns + took_ns)
            for endpoint, file, error, start_ns, took_ns in rows
        ]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "log.zst")
            write(path, ops)
            assert list(read(path)) == ops

    @given(INSTANT)
    def test_instants_keep_their_nanoseconds(self, instant_ns: int) -> None:
        """An instant is the same after it was written and read."""
        assert read_instant(write_instant(instant_ns)) == instant_ns

    def test_a_disk_that_refuses_is_told(self, tmp_path: Path) -> None:
        """A folder that is not there is named."""
        with pytest.raises(LocalError, match="the folder does not exist"):
            write(tmp_path / "no" / "log.csv", [])


class TestRecorded:
    """What workers put into their spools."""

    def test_rows_become_requests_of_the_wall_clock(self, tmp_path: Path) -> None:
        """Rows of all workers come in the order of their ends, with keys, threads, instants and errors of their own."""
        table = ObjectTable(10, FixedSize(5))
        kind = FailureKind(1, "SlowDown", 503, "ask less", retryable=True)
        spools = [Spool(str(tmp_path)), Spool(str(tmp_path))]
        number = {name: at for at, name in enumerate(OPERATIONS)}
        rows = [
            [
                ROW.pack(number["get"], 0, 200, 1, 0, 7, 5, 1000, 1100, 1200, 1300),
                ROW.pack(number["put"], 0, 200, 0, 0, PUT_PLACE + 2, 5, 1000, 1000, 1250, 1700),
            ],
            [
                ROW.pack(number["list"], 0, 200, 0, 0, 0, 0, 1000, 1000, 1150, 1250),
                ROW.pack(number["get"], 1, 503, 3, 0, 4, 0, 1000, 1000, 1150, 1500),
            ],
        ]
        for spool, told in zip(spools, rows, strict=True):
            failure = msgspec.msgpack.encode(kind)
            with open(spool.fd, "wb", closefd=False) as file:
                file.write(FRAME.pack(FAILURE, len(failure)) + failure)
                file.writelines(FRAME.pack(ROWS, len(row)) + row for row in told)
        ops = list(recorded(spools, lanes=4, table=table, prefix="p/", endpoint="http://h", offset_ns=NOON_NS))
        for spool in spools:
            spool.close()

        def at(ns: int) -> int:
            return NOON_NS + ns

        assert ops == [
            Op(4, "LIST", "bulkhaul", 1, 0, "http://h", "p/", "", at(1000), at(1150), 0, at(1250)),
            Op(1, "GET", "bulkhaul", 1, 5, "http://h", "p/table/0000000007", "", at(1000), at(1200), 0, at(1300)),
            Op(7, "GET", "bulkhaul", 1, 0, "http://h", "p/table/0000000004", "SlowDown: ask less",
               at(1000), 0, 0, at(1500)),
            Op(0, "PUT", "bulkhaul", 1, 5, "http://h", "p/put/0000/0000000002", "", at(1000), 0, at(1250), at(1700)),
        ]  # fmt: skip


def test_what_is_not_whole_has_no_name(tmp_path: Path) -> None:
    """A log whose requests cannot be read to the end is not there."""

    def cut_off() -> Iterator[Op]:
        yield from ()
        raise ValueError("the record is closed")

    with pytest.raises(ValueError, match="closed"):
        write(tmp_path / "ops.csv.zst", cut_off())
    assert list(tmp_path.iterdir()) == []
