"""Credentials that end in the middle of a job: asked for once more, by one process, and told from bad ones."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import errors
from bulkhaul.model.limits import S3Limits
from tests.engines import ACCESS_KEY, PART_BYTES, SECRET_KEY, assert_no_secret, running_engine, serving
from tests.faultserver import Credentials, EarlyReply, FaultServer, Latency, Stall, StallReceiving, make_object
from tests.patience import PATIENCE_S

PARTS = 12
BODY = random.Random(24).randbytes(PARTS * PART_BYTES)
STORED = make_object(BODY, algorithm="CRC32C")

# Notes each call in a file, and gives the token that another file holds.
PROCESS = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder / "calls").open("a") as calls:
    calls.write("called\\n")
print(json.dumps({{
    "Version": 1, "AccessKeyId": {access!r}, "SecretAccessKey": {secret!r},
    "SessionToken": (folder / "token").read_text(), "Expiration": "2099-01-01T00:00:00Z",
}}))
"""

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])


class Issuer:
    """A credential_process in a folder: what it was asked and what it gives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "process.py").write_text(PROCESS.format(access=ACCESS_KEY, secret=SECRET_KEY))
        (folder / "config").write_text(
            f"[default]\ncredential_process = {sys.executable} {folder / 'process.py'} {folder}\n"
        )
        self.give("canary-1")

    def give(self, token: str) -> None:
        """Give this token from now on."""
        (self.folder / "token").write_text(token)

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return (self.folder / "calls").read_text().count("called")

    @property
    def variables(self) -> dict[str, str]:
        """The environment that makes the SDK ask it."""
        return {"AWS_CONFIG_FILE": str(self.folder / "config")}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """An issuer that gives the token canary-1."""
    (tmp_path / "issuer").mkdir()
    return Issuer(tmp_path / "issuer")


def two_tokens() -> FaultServer:
    """Return a server that accepts the tokens canary-1 and canary-2, with the object in it."""
    server = serving(tokens=("canary-1", "canary-2"))
    server.store.put("bucket", "key", STORED)
    return server


def expire(server: FaultServer) -> None:
    """Have the first token expire."""
    assert server.credentials is not None
    server.credentials.expire("canary-1")


@BOTH
def test_expiry_in_the_middle(tmp_path: Path, issuer: Issuer, transport: str) -> None:
    """Row 27: a token that expires during a transfer is renewed exactly once, and the transfer is exact."""
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables, transport=transport) as engine:
        go_on = threading.Event()
        server.add_fault(Stall(after_bytes=1000, attempt="every", until=go_on))
        future = engine.submit("s3://bucket/key", tmp_path / "restored")
        server.wait_for(lambda s: sum(get.status == 206 for get in s.requests_for("GetObject")) >= 3)
        issuer.give("canary-2")
        expire(server)
        go_on.set()
        assert future.result(timeout=PATIENCE_S).integrity == "checksum"
        assert (tmp_path / "restored").read_bytes() == BODY
        assert issuer.calls == 2
        refused = [get for get in server.requests_for("GetObject") if get.status == 400]
        assert 1 <= len(refused) <= PARTS
        assert server.requests[-1].headers["x-amz-security-token"] == "canary-2"


@BOTH
@pytest.mark.parametrize("early", [True, False], ids=["early reply", "after the body"])
def test_expiry_in_the_middle_of_an_upload(tmp_path: Path, issuer: Issuer, transport: str, early: bool) -> None:
    """Row 27: a token that expires while parts are sent is renewed exactly once, and the object is exact."""
    settings: dict[str, Any] = {
        "transport": transport,
        "multipart_threshold_bytes": PART_BYTES,
        "limits": S3Limits(min_part_bytes=PART_BYTES),
        "state_dir": str(tmp_path / "state"),
    }
    (tmp_path / "source").write_bytes(BODY)
    server = FaultServer(
        buckets=["bucket"],
        credentials=Credentials(ACCESS_KEY, SECRET_KEY, accept_tokens=("canary-1", "canary-2")),
        min_part_size_bytes=PART_BYTES,
    )
    with server, running_engine(server.endpoint_url, issuer.variables, **settings) as engine:
        if early:
            server.add_fault(EarlyReply(code="ExpiredToken", operation="UploadPart", part=5, after_bytes=1000))
        go_on = threading.Event()
        for part in range(4, PARTS + 1):
            server.add_fault(StallReceiving(operation="UploadPart", part=part, attempt="every", until=go_on))
        future = engine.start_task(engine.aio.upload, tmp_path / "source", "s3://bucket/key")
        server.wait_for(lambda s: sum(put.status == 200 for put in s.requests_for("UploadPart")) >= 3)
        if not early:
            issuer.give("canary-2")
            expire(server)
        go_on.set()
        result = future.result(timeout=PATIENCE_S)
        stored = server.store.get("bucket", "key")
        assert stored is not None
        assert (result.integrity, stored.body == BODY) == ("checksum", True)
        assert issuer.calls == 2
        assert server.store.uploads.pending("bucket") == []


@BOTH
def test_expiry_between_transfers(tmp_path: Path, issuer: Issuer, transport: str) -> None:
    """A token that expired while nothing was asked is renewed once by whatever asks next, HEAD or listing."""
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables, transport=transport) as engine:
        engine.download("s3://bucket/key", tmp_path / "first")
        issuer.give("canary-2")
        expire(server)
        engine.download("s3://bucket/key", tmp_path / "second")
        assert [one.error for one in engine.download_many("s3://bucket/k*", tmp_path / "all")] == [None]
        assert issuer.calls == 2


def test_refusals_that_come_late(tmp_path: Path, issuer: Issuer) -> None:
    """A refusal of the old token that arrives after its renewal asks for no second one."""
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables) as engine:
        engine.download("s3://bucket/key", tmp_path / "first")
        issuer.give("canary-2")
        expire(server)
        found: list[int] = []

        def list_late(number: int) -> None:
            found.append(len(list(engine.download_many(f"s3://bucket/late-{number}/", tmp_path, dry_run=True))))

        for number in range(3):
            server.store.put("bucket", f"late-{number}/object", STORED)
            delayed = Latency(seconds=0.4 * number, operation="ListObjectsV2", key=f"late-{number}/", attempt=1)
            server.add_fault(delayed)
        threads = [threading.Thread(target=list_late, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert found == [1, 1, 1]
        refused = [one for one in server.requests_for("ListObjectsV2") if one.status == 400]
        assert len(refused) == 3
        assert issuer.calls == 2


def test_one_process_is_asked_for_all(tmp_path: Path, issuer: Issuer) -> None:
    """However many workers there are, the credential chain is asked once at the start."""
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables, workers=4) as engine:
        futures = [engine.submit("s3://bucket/key", tmp_path / f"{n}") for n in range(4)]
        assert all(future.result(timeout=PATIENCE_S).ok for future in futures)
        assert issuer.calls == 1


@BOTH
def test_nothing_newer_is_to_be_had(tmp_path: Path, issuer: Issuer, transport: str) -> None:
    """If renewing brings the same expired token, the error says so, after few requests, without showing it."""
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables, transport=transport) as engine:
        expire(server)
        with pytest.raises(errors.ExpiredCredentials, match="expired") as caught:
            engine.download("s3://bucket/key", tmp_path / "restored")
        assert issuer.calls == 2
        assert len(server.requests) <= 6
        assert_no_secret(caught.value)
        assert "canary" not in repr(caught.value)


def test_the_process_fails(tmp_path: Path, issuer: Issuer) -> None:
    """A credential source that fails is a credentials error at once; a later engine is not harmed."""
    (issuer.folder / "process.py").write_text("import sys; sys.exit('no ticket for canary')")
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables) as engine:
        for _ in range(2):
            with pytest.raises(errors.CredentialsError):
                engine.download("s3://bucket/key", tmp_path / "restored")
        assert server.requests == ()


def test_the_process_fails_to_renew(tmp_path: Path, issuer: Issuer) -> None:
    """A renewal that fails ends the transfer by name; it does not hang."""
    with two_tokens() as server, running_engine(server.endpoint_url, issuer.variables) as engine:
        engine.download("s3://bucket/key", tmp_path / "first")
        (issuer.folder / "process.py").write_text("import sys; sys.exit('no ticket')")
        expire(server)
        kinds: Any = errors.CredentialsError
        future = engine.submit("s3://bucket/key", tmp_path / "second")
        with pytest.raises(kinds):
            future.result(timeout=PATIENCE_S)
        assert not (tmp_path / "second").exists()
