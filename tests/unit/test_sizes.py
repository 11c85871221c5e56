"""Sizes as people write and read them."""

from __future__ import annotations

import pytest

from bulkhaul.policy.sizes import format_size, parse_size


class TestSizes:
    """Sizes on the command line."""

    @pytest.mark.parametrize(
        ("text", "size_bytes"),
        [
            ("0", 0),
            ("8388608", 8 << 20),
            ("8M", 8 << 20),
            ("8MiB", 8 << 20),
            ("8mib", 8 << 20),
            ("8MB", 8_000_000),
            ("1.5G", 3 << 29),
            ("2T", 2 << 40),
            ("64 KiB", 1 << 16),
            ("7B", 7),
        ],
    )
    def test_reads(self, text: str, size_bytes: int) -> None:
        """A size means the same as in s5cmd: a lone letter is binary, KB is decimal."""
        assert parse_size(text) == size_bytes

    @pytest.mark.parametrize("text", ["", "M", "8X", "-1", "8 M B", "1e3", "8iB", "0.3", "٨M", "8MiBs"])
    def test_refuses(self, text: str) -> None:
        """What is no whole number of bytes is refused, with what a size looks like."""
        with pytest.raises(ValueError, match=r"size|whole number"):
            parse_size(text)

    @pytest.mark.parametrize("size_bytes", [0, 1, 1023, 1024, 10**6, 2**40 - 1, 2**50])
    def test_written_sizes_are_near(self, size_bytes: int) -> None:
        """A size written for people is right to within a tenth of its unit."""
        number, unit = format_size(size_bytes).split()
        factor = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
        assert abs(float(number) * factor - size_bytes) <= factor / 20
