"""Credentials and targets are settled without the SDK from real files and programs, or the SDK is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rich.pretty
from botocore.httpsession import get_cert_path

from bulkhaul.model.settings import Settings
from bulkhaul.policy.awsfiles import read_files
from bulkhaul.policy.resolution import AskSdk, Resolved, resolve
from bulkhaul.wire.settled import MAX_FILE_BYTES, Settled, settle, settled_credentials
from bulkhaul.wire.values import Credentials, Target


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the SDK but the paths of two files that do not exist yet."""
    for name in [
        name for name in os.environ if name.startswith(("AWS_", "S3_", "REQUESTS_")) or name.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_keys_of_the_environment_and_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case needs no file."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settled = settle(Settings(endpoint_url="http://127.0.0.1:9000"))
    assert isinstance(settled, Settled)
    assert settled.credentials(3, deadline_s=1.0) == Credentials(
        "AKID", "secret", generation=3, source="the environment"
    )
    assert settled.target("photos") == Target("http", "127.0.0.1", 9000, "/photos/", "us-east-1", True)


def test_nothing_is_found() -> None:
    """Without keys the SDK is asked, which looks further."""
    assert settle(Settings(endpoint_url="http://127.0.0.1:9000")) == AskSdk(
        "no keys are in the environment or the files"
    )


def certain(**fields: Any) -> Settled:
    """Settle what must be certain."""
    settled = settle(Settings(workers=2, endpoint_url="http://127.0.0.1:9000", **fields))
    assert isinstance(settled, Settled), settled
    return settled


SECRET = "secret"


def write_keys(folder: Path, access_key: str = "AKID", secret: str = SECRET) -> None:
    """Write the default profile's keys into the credentials file."""
    text = f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n"
    (folder / "credentials").write_text(text)


def test_the_files_are_read_anew(tmp_path: Path) -> None:
    """A renewal sees the keys that stand in the file now."""
    write_keys(tmp_path)
    source = f"profile 'default' of {tmp_path / 'credentials'}"
    assert certain().credentials(1, deadline_s=1.0) == Credentials("AKID", "secret", generation=1, source=source)
    write_keys(tmp_path, "NEWER")
    renewed = settled_credentials(Settings(endpoint_url="http://127.0.0.1:9000"), 2, deadline_s=1.0)
    assert renewed == Credentials("NEWER", "secret", generation=2, source=source)


def test_the_default_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without variables, the files are those of the home folder."""
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    (tmp_path / ".aws").mkdir()
    write_keys(tmp_path / ".aws")
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n")
    assert certain().target("photos") == Target("http", "127.0.0.1", 9000, "/photos/", "eu-west-1", True)


@pytest.mark.parametrize("access_key", ["A KID", "АКID", ""], ids=["blank", "not ASCII", "empty"])
def test_a_key_that_cannot_be_sent(tmp_path: Path, access_key: str) -> None:
    """The SDK's way tells which key it is; here it is only not used."""
    write_keys(tmp_path, access_key)
    assert certain().credentials(1, deadline_s=1.0) == AskSdk("a key cannot be sent")


def test_keys_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys whose end is past are not used; the end of others is known."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2001-01-01T00:00:00Z")
    assert certain().credentials(1, deadline_s=1.0) == AskSdk("the keys have ended")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00+00:00")
    told = certain().credentials(1, deadline_s=1.0)
    assert isinstance(told, Credentials)
    assert told.expires_s == 4_102_444_800.0  # Source: GNU date -d 2100-01-01T00:00:00Z +%s


def test_unsigned_requests() -> None:
    """There are no credentials, and no region to sign for."""
    unsigned = certain(sign_requests=False)
    assert unsigned.credentials(1, deadline_s=1.0) is None
    assert unsigned.target("photos") == Target("http", "127.0.0.1", 9000, "/photos/", "", True)


def test_a_bucket_that_only_the_sdk_addresses() -> None:
    """It is asked for that bucket alone."""
    unsigned = certain(sign_requests=False)
    for bucket in ("arn:aws:s3:eu-west-1:123456789012:accesspoint/ap", "photos--euw1-az1--x-s3"):
        assert unsigned.target(bucket) == AskSdk("the name is not one of a plain bucket")


UNREADABLE = {
    "no text": b"[default]\nregion = \xff\n",
    "no AWS file": b"stray\n",
    "very long": b"#" * (MAX_FILE_BYTES + 1),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes) -> None:
    """The SDK is asked, even where the environment has keys: it refuses what it cannot read."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / name).write_bytes(content)
    assert isinstance(settle(Settings(endpoint_url="http://127.0.0.1:9000")), AskSdk)


@pytest.mark.parametrize(
    "path", ["/proc/self/mem", "$HOME/config", "${NOWHERE}"], ids=["unreadable", "variable", "unset"]
)
def test_a_path_that_is_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str) -> None:
    """A file that cannot be read, or whose path has to be expanded, is the SDK's."""
    write_keys(tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", path)
    assert isinstance(settle(Settings(endpoint_url="http://127.0.0.1:9000")), AskSdk)


def test_own_endpoints_of_the_user(tmp_path: Path) -> None:
    """A folder of the user's own endpoints and models is the SDK's to read."""
    write_keys(tmp_path)
    (tmp_path / ".aws" / "models").mkdir(parents=True)
    assert isinstance(settle(Settings(endpoint_url="http://127.0.0.1:9000")), AskSdk)


def test_authorities(tmp_path: Path) -> None:
    """The user's file is taken if it exists; else the SDK's own, and none if none is wanted."""
    write_keys(tmp_path)
    assert certain().ca_bundle == get_cert_path(True)
    (tmp_path / "ca.pem").touch()
    assert certain(ca_bundle=str(tmp_path / "ca.pem")).ca_bundle == str(tmp_path / "ca.pem")
    off = certain(verify_tls=False)
    assert (off.verify_tls, off.ca_bundle) == (False, None)
    missing = Settings(endpoint_url="http://127.0.0.1:9000", ca_bundle="/nowhere.pem")
    assert settle(missing) == AskSdk("there is no such file of certificate authorities")


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    """No repr of what was settled, read or resolved holds a key or an argument of a program."""
    write_keys(tmp_path, "CANARY-ID", "CANARY-SECRET")
    (tmp_path / "config").write_text("[profile work]\ncredential_process = issue CANARY\n")
    texts = (tmp_path / "config").read_text(), (tmp_path / "credentials").read_text()
    for chosen in (Settings(), Settings(profile="work")):
        resolved = resolve(chosen, {}, *texts)
        assert isinstance(resolved, Resolved)
        assert "CANARY" not in repr(resolved) + repr(settle(chosen)) + repr(read_files(*texts))
        assert "CANARY" not in rich.pretty.pretty_repr(resolved)


def test_the_sdk_is_not_imported() -> None:
    """Settling imports neither the SDK nor what is large; the parser and the programs' modules only where needed."""
    code = (
        "import sys, bulkhaul.wire.settled as settled; from bulkhaul.model.settings import Settings;"
        "settled.settle(Settings(endpoint_url='http://127.0.0.1:9000', sign_requests=False));"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "bulkhaul.policy.resolution" in loaded
    assert not loaded & {
        "boto3",
        "botocore",
        "certifi",
        "numpy",
        "configparser",
        "subprocess",
        "shlex",
        "urllib.request",
    }
