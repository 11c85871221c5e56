"""The streaming Merkle root against the definition of RFC 6962 as it is written there, and its published vectors."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.merkle import MerkleRoot


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, by recursion."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + defined(leaves[:k]) + defined(leaves[k:])).digest()


def root(leaves: list[bytes]) -> str:
    """Return the root as it is computed."""
    merkle = MerkleRoot()
    for leaf in leaves:
        merkle.add(leaf)
    return merkle.hex()


@given(st.lists(st.binary(max_size=5), max_size=70))
def test_it_is_the_defined_root(leaves: list[bytes]) -> None:
    """Whatever the number of leaves."""
    assert root(leaves) == defined(leaves).hex()


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=20), st.data())
def test_any_change_changes_it(leaves: list[bytes], data: st.DataObject) -> None:
    """Another leaf, one less or one more."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    changed = [*leaves[:index], leaves[index] + b"x", *leaves[index + 1 :]]
    assert len({root(leaves), root(changed), root(leaves[:-1]), root([*leaves, b""])}) == 4


def test_published_vectors() -> None:
    """Source: certificate-transparency, ``merkle_tree_test``: the roots of one, two and eight leaves."""
    leaves = [
        bytes.fromhex(text)
        for text in (
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
        )
    ]  # fmt: skip
    assert root(leaves[:1]) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root(leaves[:2]) == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert root(leaves) == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_memory_is_flat() -> None:
    """After many leaves no more hashes are kept than there are levels."""
    merkle = MerkleRoot()
    for number in range(5000):
        merkle.add(b"%d" % number)
    assert len(merkle._full) <= 13
