"""Decides how much of a body is handed to the socket at a time: more as long as it leaves quickly."""

from __future__ import annotations

FIRST_PIECE_BYTES = 64 * 1024
"""Bytes of a body handed to the socket at first."""

MAX_PIECE_BYTES = 1024 * 1024

MAX_TLS_PIECE_BYTES = 256 * 1024
"""Over TLS a piece counts as sent only when all of it has left, so it must leave soon."""

QUICK_PIECE_S = 0.05
"""A piece that took no longer is followed by one of twice the length, any other by one of half."""


class PieceSize:
    """The length of the next piece of one body.

    Attributes:
        bytes: that length.
    """

    def __init__(self, *, tls: bool, most: int | None) -> None:
        """Take the most bytes that a limit of the bandwidth allows at a time, None without one."""
        usual = MAX_TLS_PIECE_BYTES if tls else MAX_PIECE_BYTES
        self._most = usual if most is None else min(usual, most)
        self.bytes = FIRST_PIECE_BYTES if most is None else self._most

    def after(self, took_s: float) -> None:
        """Take how long the last piece took to leave."""
        quick = took_s <= QUICK_PIECE_S
        self.bytes = min(self._most, self.bytes * 2 if quick else max(FIRST_PIECE_BYTES, self.bytes // 2))
