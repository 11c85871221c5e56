"""Computes the Merkle root of a stream of leaves in memory of one hash a level.

leaf  SHA-256(0x00 + bytes)      node  SHA-256(0x01 + left + right)      the left side of a node is a full tree

Source: RFC 6962 §2.1, "Merkle Hash Trees".
"""

from __future__ import annotations

import hashlib

_LEAF, _NODE = b"\x00", b"\x01"


class MerkleRoot:
    """The root over the leaves that were added so far."""

    def __init__(self) -> None:
        self._full: list[tuple[int, bytes]] = []  # (leaves, root) of full trees, from the left; each has fewer leaves

    def add(self, leaf: bytes) -> None:
        """Add the next leaf."""
        leaves, root = 1, hashlib.sha256(_LEAF + leaf).digest()
        while self._full and self._full[-1][0] == leaves:
            _, left = self._full.pop()
            leaves, root = 2 * leaves, _node(left, root)
        self._full.append((leaves, root))

    def hex(self) -> str:
        """Return the root in hex; without leaves that is the hash of nothing."""
        if not self._full:
            return hashlib.sha256().hexdigest()
        _, root = self._full[-1]
        for _, left in reversed(self._full[:-1]):
            root = _node(left, root)
        return root.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
