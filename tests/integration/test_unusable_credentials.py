"""Credentials that cannot be used are refused at once: by where they stand and why, never by what they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.cli.options import make_settings
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.integration.command import run


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with one object that wants requests signed with the canary's keys."""
    with serving() as running:
        running.store.put("bucket", "key", make_object(b"x"))
        yield running


UNUSABLE = {
    "a line break within the token": ({"AWS_SESSION_TOKEN": "CANARY-to\nken"}, "AWS_SESSION_TOKEN", "line break"),
    "a return within the token": ({"AWS_SESSION_TOKEN": "CANARY-to\rken"}, "AWS_SESSION_TOKEN", "line break"),
    "a tab within the token": ({"AWS_SESSION_TOKEN": "CANARY-to\tken"}, "AWS_SESSION_TOKEN", "control character"),
    "a blank within the token": ({"AWS_SESSION_TOKEN": "CANARY to ken"}, "AWS_SESSION_TOKEN", "blank"),
    "a letter that is not ASCII": ({"AWS_SESSION_TOKEN": "CANARY-tökèn"}, "AWS_SESSION_TOKEN", "not ASCII"),
    "bytes that are no text": ({"AWS_SESSION_TOKEN": "CANARY-\udcff"}, "AWS_SESSION_TOKEN", "not valid UTF-8"),
    "a line break within the key id": ({"AWS_ACCESS_KEY_ID": "CANARY\nID"}, "AWS_ACCESS_KEY_ID", "line break"),
    "a blank within the key id": ({"AWS_ACCESS_KEY_ID": "CANARY ID"}, "AWS_ACCESS_KEY_ID", "blank"),
    "a line break within the secret": ({"AWS_SECRET_ACCESS_KEY": "CAN\nARY"}, "AWS_SECRET_ACCESS_KEY", "line break"),
    "bytes that are no secret": ({"AWS_SECRET_ACCESS_KEY": "CANARY\udcfe"}, "AWS_SECRET_ACCESS_KEY", "not valid UTF-8"),
}


@pytest.mark.parametrize(("variables", "named", "what"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_no_header_can_carry(server: FaultServer, variables: dict[str, str], named: str, what: str) -> None:
    """It is refused before any request, with its variable and what is wrong with it, and is never shown."""
    before = len(server.requests)
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=keys() | variables)
    assert done.returncode == 1
    assert named in done.stderr
    assert what in done.stderr
    for shown in ("CANARY", "CAN\\", "ARY", "to\\", SECRET_KEY, TOKEN):
        assert shown not in done.stdout + done.stderr
    assert len(server.requests) == before


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t"], ids=["line end", "DOS line end", "blanks"])
def test_what_surrounds_a_key_is_no_part_of_it(server: FaultServer, around: str) -> None:
    """Keys and regions that were read from a file with their line end work, and are the same without it."""
    variables = {name: around.format(value) for name, value in keys().items()} | {"AWS_REGION": around.format("eu-1")}
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=variables)
    assert done.returncode == 0, done.stderr
    assert "/eu-1/s3/" in server.requests[-1].headers["authorization"]


@pytest.mark.parametrize("option", ["--region", "--endpoint-url", "--profile"])
def test_a_setting_with_a_line_end_is_refused(server: FaultServer, option: str) -> None:
    """One that was typed with a line end is a usage error at once: no request could be sent."""
    words = ["ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, option, f"{server.endpoint_url}\n"]
    before = len(server.requests)
    done = run(*words, variables=keys())
    assert done.returncode == 2
    assert "line break" in done.stderr
    assert len(server.requests) == before


EMPTY = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_MAX_ATTEMPTS",
    "AWS_RETRY_MODE", "AWS_DEFAULTS_MODE", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_DATA_PATH",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CREDENTIAL_FILE", "AWS_CREDENTIAL_EXPIRATION", "AWS_ACCOUNT_ID",
    "AWS_METADATA_SERVICE_TIMEOUT", "AWS_SIGV4A_SIGNING_REGION_SET", "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION", "AWS_DISABLE_REQUEST_COMPRESSION", "AWS_EXECUTION_ENV", "BOTO_CONFIG",
    "AWS_AUTH_SCHEME_PREFERENCE", "BULKHAUL_ALLOW_HTTP", "ALLOW_HTTP", "BULKHAUL_STATE_DIR", "XDG_STATE_HOME",
)  # fmt: skip


@pytest.mark.parametrize("blank", ["", " "], ids=["empty", "blank"])
def test_an_empty_variable_is_an_unset_one(server: FaultServer, blank: str) -> None:
    """Whatever scripts and containers leave empty counts as not there at all."""
    given = dict.fromkeys((name for name in EMPTY if name.startswith(("AWS_", "S3_", "REQ")) or not blank), blank)
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=keys() | given)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_REGION", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_MAX_ATTEMPTS"])
def test_each_of_the_common_ones_alone(server: FaultServer, name: str) -> None:
    """An empty variable is no error where the others are not even set."""
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=keys() | {name: ""})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("ours", "common", "allowed"), [("", "1", True), ("0", "1", False), ("", "", False)])
def test_an_empty_permission_leaves_the_other_name_in_force(
    monkeypatch: pytest.MonkeyPatch, ours: str, common: str, allowed: bool
) -> None:
    """BULKHAUL_ALLOW_HTTP that is empty does not hide ALLOW_HTTP; one that says no does."""
    monkeypatch.setenv("BULKHAUL_ALLOW_HTTP", ours)
    monkeypatch.setenv("ALLOW_HTTP", common)
    assert make_settings({}).allow_http is allowed


def process_of(folder: Path, command: str) -> dict[str, str]:
    """Return the environment in which a profile names a process for its keys, and none are set."""
    (folder / "config").write_text(f"[profile work]\ncredential_process = {command}\n")
    unset = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "")
    return unset | {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_PROFILE": "work"}


SAYS = {
    "is missing": ("/nowhere/issue --secret CANARY", ["/nowhere/issue", "cannot be started", "No such file"]),
    "is no program": ("/etc/passwd CANARY", ["/etc/passwd", "cannot be started", "Permission denied"]),
    "prints no JSON": ("/bin/echo CANARY", ["/bin/echo", "something else than the JSON", "run it by hand"]),
    "prints a list": ("/bin/echo '[\"CANARY\"]'", ["/bin/echo", "something else than the JSON"]),
    "prints half": ('/bin/echo \'{"Version": 1, "AccessKeyId": "CANARY"}\'', ["/bin/echo", "SecretAccessKey"]),
    "fails": ("/bin/sh -c 'echo no ticket >&2; exit 3; CANARY'", ["/bin/sh", "failed", "no ticket"]),
    "is half a command": ("/bin/echo 'CANARY", ["/bin/echo", "something else"]),
    "gives a broken token": (
        '/bin/echo \'{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "CANARY", "SessionToken": "CANARY\\nx"}\'',
        ["session token", "line break", "credential_process"],
    ),
}


@pytest.mark.parametrize(("command", "said"), SAYS.values(), ids=SAYS)
def test_a_process_that_gives_no_keys(server: FaultServer, tmp_path: Path, command: str, said: list[str]) -> None:
    """The message names the profile and the program, what became of it and what to do; no argument, no output."""
    before = len(server.requests)
    variables = process_of(tmp_path, command)
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=variables)
    assert done.returncode == 1
    for text in [*said, "'work'"]:
        assert text in done.stderr
    assert "CANARY" not in done.stdout + done.stderr
    assert len(server.requests) == before


def test_a_process_that_works(server: FaultServer, tmp_path: Path) -> None:
    """Keys that a process prints with a line end are used without it."""
    program = tmp_path / "issue.py"
    told = {"Version": 1, "AccessKeyId": f"{ACCESS_KEY}\n", "SecretAccessKey": f"{SECRET_KEY}\n", "SessionToken": TOKEN}
    program.write_text(f"import json; print(json.dumps({told!r}))")
    variables = process_of(tmp_path, f"{sys.executable} {program}")
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=variables)
    assert (done.returncode, done.stderr) == (0, "")


MISSING = {
    "credentials": ({"AWS_SHARED_CREDENTIALS_FILE": "/nowhere/x"}, "AWS_SHARED_CREDENTIALS_FILE names /nowhere/x"),
    "configuration": ({"AWS_CONFIG_FILE": "/nowhere/x"}, "AWS_CONFIG_FILE names /nowhere/x"),
    "web identity": (
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/x", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r"},
        "/nowhere/x, the file of the web identity token (AWS_WEB_IDENTITY_TOKEN_FILE)",
    ),
    "container": (
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/x",
        },
        "/nowhere/x, the file of the container's authorization token (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)",
    ),
}


@pytest.mark.parametrize(("variables", "said"), MISSING.values(), ids=MISSING)
def test_a_file_that_is_missing(server: FaultServer, variables: dict[str, str], said: str) -> None:
    """A file that the environment names and that is not there is named, with the variable."""
    unset = dict.fromkeys(keys(), "")
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=unset | variables)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_token_of_a_container_with_a_line_break(server: FaultServer) -> None:
    """What authorizes a container is named when it cannot be sent, and is not shown."""
    variables = dict.fromkeys(keys(), "") | {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "CANARY\nCANARY",
    }
    done = run("ls", "s3://bucket/", "--endpoint-url", server.endpoint_url, variables=variables)
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" in done.stderr
    assert "line break" in done.stderr
    assert "CANARY" not in done.stderr
