"""Plain http: which hosts are this machine, and what the environment allows, the same for commands and stores."""

from __future__ import annotations

import pytest

from bulkhaul.cli.options import make_settings
from bulkhaul.policy.plainhttp import is_loopback
from bulkhaul.store.opening import settings_for


@pytest.mark.parametrize("common", [None, "", "1", "0", "enable"])
@pytest.mark.parametrize("ours", [None, "", " ", "1", "on", "0", "no", "enable"])
def test_c59_commands_and_stores_read_the_environment_alike(
    monkeypatch: pytest.MonkeyPatch, ours: str | None, common: str | None
) -> None:
    """The first variable that is not empty decides, ours before the common one; an unknown word is a no."""
    for name, value in (("BULKHAUL_ALLOW_HTTP", ours), ("ALLOW_HTTP", common)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    allowed = (ours or common) in ("1", "on")
    assert make_settings({}).allow_http is allowed
    assert settings_for("s3://photos", {})[1].allow_http is allowed


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.3.4", "::1", "0:0::1"])
def test_c59_this_machine_is_known(host: str) -> None:
    """Nothing that is sent there leaves the machine."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "photos.localhost", "localhost.", "localhost.example.com", "example.com", "128.0.0.1", "127.1"),
        *("0.0.0.0", "::", "::2", "::ffff:127.0.0.1", "[::1]"),  # noqa: S104
    ],
)
def test_c59_any_other_host_may_be_another_machine(host: str) -> None:
    """Names below ``localhost`` too: glibc's resolver asks the network for them."""
    assert not is_loopback(host)
