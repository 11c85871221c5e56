"""Progress of a comparison: what is told, and what is not told before it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from bulkhaul.jobs.verify_digests import Digests
from bulkhaul.jobs.verify_progress import VerifyProgress


def reader(size_bytes: int) -> Digests:
    """Return what so many bytes have passed through."""
    running = Digests((), ())
    running.update(memoryview(bytes(size_bytes)))
    return running


def test_names_are_counted_and_the_total_grows_until_the_listings_end() -> None:
    """Equal ones are verified, all others failed; the total is final only when both places are listed."""
    told = VerifyProgress()
    told.found = 3
    told.decided(equal=True)
    told.decided(equal=False)
    progress = told.progress()
    assert (progress.planned_objects, progress.verified_objects, progress.failed_objects) == (3, 1, 1)
    assert not progress.planning_done
    told.all_found = True
    assert told.progress().planning_done


def test_bytes_count_while_they_are_read() -> None:
    """Of both sides, before the reading has ended and after."""
    told = VerifyProgress()
    told.found = 2
    with told.reading([reader(10), reader(20)], 200):
        assert told.progress().received_bytes == 30
    assert told.progress().received_bytes == 30


def test_a_total_of_bytes_is_told_when_it_is_certain() -> None:
    """Not while a name may still be read of which nobody knows; then with what has been read before."""
    told = VerifyProgress()
    told.found = 1
    with told.reading([reader(50)], 50):
        assert told.progress().planned_bytes == 0  # more names may come
    told.decided(equal=True)
    told.found, told.all_found = 3, True
    with told.reading([reader(10), reader(20)], 200):
        assert told.progress().planned_bytes == 0  # the third name is not looked at yet
        with told.reading([reader(1)], 100):
            assert (told.progress().planned_bytes, told.progress().received_bytes) == (350, 81)


def test_a_total_that_was_told_stays() -> None:
    """While what was read is compared, and when all is decided, by what was read indeed."""
    told = VerifyProgress()
    told.found, told.all_found = 1, True
    with told.reading([reader(10)], 10):
        assert told.progress().planned_bytes == 10
    assert (told.progress().planned_bytes, told.progress().received_bytes) == (10, 10)
    told.decided(equal=True)
    assert (told.progress().planned_bytes, told.progress().received_bytes) == (10, 10)


class Asked:
    """What ten bytes have passed through, and something happens whenever it is asked for their number."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self.happens = happens

    @property
    def size_bytes(self) -> int:
        """Ten, once it has happened."""
        happens, self.happens = self.happens, bool
        happens()
        return 10


def test_a_name_counts_once_at_any_moment() -> None:
    """Asked by another thread while its reading ends, and where its reading ends while it is asked."""
    told, seen = VerifyProgress(), []
    told.found, told.all_found = 1, True
    with told.reading([cast("Digests", Asked(lambda: seen.append(told.progress())))], 10):
        pass
    assert [(one.planned_bytes, one.received_bytes) for one in seen] == [(10, 10)]
    told = VerifyProgress()
    told.found, told.all_found = 1, True
    reading = told.reading([cast("Digests", Asked(lambda: reading.__exit__(None, None, None)))], 10)
    reading.__enter__()
    progress = told.progress()
    assert (progress.planned_bytes, progress.received_bytes) == (10, 10)
