"""What the answer to a batch of deletes says of each key: deleted, refused, or nothing that can be relied on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.policy.deletions import ToldDeleted, not_deleted

A, B = Doomed("a"), Doomed("b")
V1, V2 = Doomed("k", "v1"), Doomed("k", "v2")
DENIED = "AccessDenied"


def refused(key: str = "", version_id: str = "", code: str = DENIED) -> NotDeleted:
    """Return an error as an answer tells it."""
    return NotDeleted(key, version_id, code, "no")


def unsure(one: Doomed, why: str = "") -> NotDeleted:
    """Return what becomes of a key that nothing is said of."""
    return NotDeleted(one.key, one.version_id, message=why, unconfirmed=True)


STRAY = f"{DENIED}: no"

CASES: dict[str, tuple[Sequence[Doomed], Sequence[ToldDeleted], Sequence[NotDeleted], list[NotDeleted]]] = {
    "everything": ([A, B], [ToldDeleted("b"), ToldDeleted("a")], [], []),
    "one is refused": ([A, B], [ToldDeleted("b")], [refused("a")], [refused("a")]),
    "one is gone": ([A, B], [ToldDeleted("b")], [refused("a", code="NoSuchKey")], []),
    "silence": ([A, B], [ToldDeleted("b")], [], [unsure(A)]),
    "deleted and refused": ([A, B], [ToldDeleted("a"), ToldDeleted("b")], [refused("a")], [refused("a")]),
    "an error without a key": ([A, B], [ToldDeleted("b")], [refused()], [unsure(A, STRAY)]),
    "an error of a foreign key": ([A, B], [], [refused("c")], [unsure(A, STRAY), unsure(B, STRAY)]),
    "an error of nobody, and all are told as deleted": (
        [A, B], [ToldDeleted("a"), ToldDeleted("b")], [refused()], [unsure(A, STRAY), unsure(B, STRAY)],
    ),
    "a foreign key is deleted": ([A], [ToldDeleted("c")], [], [unsure(A)]),
    "a percent-encoded error": ([Doomed("a b/ü")], [], [refused("a%20b/%C3%BC")], [refused("a b/ü")]),
    "a form-encoded error": ([Doomed("a b/ü")], [], [refused("a+b%2F%C3%BC")], [refused("a b/ü")]),
    "a key that looks encoded": (
        [Doomed("x%41"), Doomed("xA")], [ToldDeleted("xA")], [refused("x%41")], [refused("x%41")],
    ),
    "a parser's line ends": ([Doomed("a\r\nb\rc")], [ToldDeleted("a\nb\nc")], [], []),
    "versions": ([V1, V2], [ToldDeleted("k", ("v1",)), ToldDeleted("k", ("v2",))], [], []),
    "one of the versions": ([V1, V2], [ToldDeleted("k", ("v2",))], [], [unsure(V1)]),
    "another version": ([V1], [ToldDeleted("k", ("v3",))], [], [unsure(V1)]),
    "a version, told by its key alone": ([V1], [ToldDeleted("k")], [], []),
    "both versions, told by their key alone": ([V1, V2], [ToldDeleted("k"), ToldDeleted("k")], [], []),
    "one of the versions, but which": ([V1, V2], [ToldDeleted("k")], [], [unsure(V1), unsure(V2)]),
    "an error without a version": ([V1, V2], [ToldDeleted("k", ("v1",))], [refused("k")], [refused("k", "v2")]),
    "an error without a version, nothing else": (
        [V1, V2], [], [refused("k")], [refused("k", "v1"), refused("k", "v2")],
    ),
    "an error of another version": ([V1, V2], [ToldDeleted("k", ("v1",))], [refused("k", "v3")], [unsure(V2, STRAY)]),
    "a delete marker made": ([A], [ToldDeleted("a", ("new",))], [], []),
    "a delete marker made where a version was to go": ([V1], [ToldDeleted("k", ("new",))], [], [unsure(V1)]),
    "an error that names the current version": ([A, B], [ToldDeleted("b")], [refused("a", "v7")], [refused("a")]),
    "the same key twice": ([A, A], [ToldDeleted("a")], [], []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_an_answer_says(case: str) -> None:
    """Each key is deleted by a word of its own, refused by an error that can be about it, or else not confirmed."""
    doomed, deleted, errors, expected = CASES[case]
    assert not_deleted(doomed, deleted, errors) == expected


KEYS = st.sampled_from(["a", "b", "a b", "a%20b", "a+b", "a\rb", "a\nb", ""])
VERSIONS = st.sampled_from(["", "v1", "v2", "null"])


@given(
    st.lists(st.builds(Doomed, KEYS, VERSIONS), min_size=1),
    st.lists(st.builds(ToldDeleted, KEYS, VERSIONS.map(lambda one: (one,) if one else ()))),
    st.lists(st.builds(NotDeleted, KEYS, VERSIONS, st.just(DENIED))),
)
def test_nothing_is_lost(doomed: list[Doomed], deleted: list[ToldDeleted], errors: list[NotDeleted]) -> None:
    """Whatever is told: only what was asked for is reported, once; and an answer with errors is never all success."""
    told = not_deleted(doomed, deleted, errors)
    names = [(one.key, one.version_id) for one in told]
    assert len(set(names)) == len(names)
    assert set(names) <= {(one.key, one.version_id) for one in doomed}
    if errors:
        assert told
    if not deleted:
        assert set(names) == {(one.key, one.version_id) for one in doomed}
