"""Rows that wait: each is due once a round, in the order of a listing, and memory does not grow with their number."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from bulkhaul.jobs.waiting_rows import CHUNK_ROWS, Waiting, WaitingRows
from bulkhaul.model.rows import Action, Row


def waiting(n: int, key: str, bucket: str = "bucket") -> Waiting:
    """Return a row that waits."""
    row = Row(n=n, action=Action.DOWNLOAD, source=f"s3://{bucket}/{key}", destination=f"/out/{key}", size=n)
    return Waiting(row, bucket, key)


def keys(rows: list[Waiting]) -> list[str]:
    """Return the keys of rows."""
    return [one.key for one in rows]


def test_rounds() -> None:
    """A row that is given back comes in the next round; one that is new comes in this one."""
    rows = WaitingRows()
    rows.add([waiting(0, "b"), waiting(1, "a"), waiting(2, "\U0001f600"), waiting(3, "\uff5e"), waiting(4, "a", "aa")])
    first = rows.due()
    assert [(one.bucket, one.key) for one in first] == [
        ("aa", "a"), ("bucket", "a"), ("bucket", "b"), ("bucket", "\uff5e"), ("bucket", "\U0001f600")
    ]  # by UTF-8 bytes  # fmt: skip
    rows.remove(first[:1])
    rows.give_back([msgspec.structs.replace(one, asked=1) for one in first[1:]])
    assert rows.due() == []
    rows.add([waiting(5, "c")])
    assert keys(rows.due()) == ["c"]
    rows.give_back(rows.due())
    assert rows.due() == []
    assert rows.count == 5
    rows.next_round()
    second = rows.due()
    assert keys(second) == ["a", "b", "c", "\uff5e", "\U0001f600"]
    assert [one.asked for one in second] == [1, 1, 0, 1, 1]
    rows.remove(second)
    assert (rows.due(), rows.count) == ([], 0)
    rows.close()


def test_chunks() -> None:
    """Many are due a page at a time."""
    rows = WaitingRows()
    rows.add([waiting(n, f"{n:05}") for n in range(2 * CHUNK_ROWS + 7)])
    lengths = []
    while found := rows.due():
        lengths.append(len(found))
        rows.give_back(found)
    assert lengths == [CHUNK_ROWS, CHUNK_ROWS, 7]
    rows.close()


def test_memory() -> None:
    """A hundred thousand more take no more of it than a page does."""
    more = [peak_kib(count) for count in (20_000, 120_000)]
    assert more[1] - more[0] < 12 * 1024


def peak_kib(count: int) -> int:
    """Return the peak of the memory of a process that has so many wait, and looks at each."""
    code = f"""
import resource
from tests.unit.test_waiting_rows import waiting
from bulkhaul.jobs.waiting_rows import WaitingRows
rows = WaitingRows()
for start in range(0, {count}, 1000):
    rows.add([waiting(n, f"archive/of/some/length/{{n:09}}.bin") for n in range(start, start + 1000)])
while found := rows.due():
    rows.give_back(found)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout)
