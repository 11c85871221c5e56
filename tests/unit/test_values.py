"""Values of the wire: credentials that never show themselves, hosts as headers spell them."""

from __future__ import annotations

import io
import traceback

import pytest
from rich.console import Console
from rich.pretty import pretty_repr

from bulkhaul.wire.values import Credentials, Target

SECRETS = ("AKIACANARY", "s3cr3tCanary", "t0kenCanary")
CREDENTIALS = Credentials(*SECRETS, expires_s=1.0, generation=3)


def test_no_way_of_printing_credentials_shows_them() -> None:
    """repr, str, formats, containers, rich and tracebacks with locals hold no key and no token (I5)."""
    console = Console(file=io.StringIO(), width=200)
    console.print(CREDENTIALS, [CREDENTIALS])
    try:
        local = CREDENTIALS
        raise ValueError("broken with", local)
    except ValueError as error:
        report = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert isinstance(console.file, io.StringIO)
    shown = [
        repr(CREDENTIALS),
        str(CREDENTIALS),
        f"{CREDENTIALS!r} {CREDENTIALS} {[CREDENTIALS]}",
        pretty_repr({"credentials": CREDENTIALS}),
        console.file.getvalue(),
        report,
    ]
    for text in shown:
        assert "Credentials" in text
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    ("scheme", "host", "port", "header"),
    [
        ("https", "b.s3.amazonaws.com", 443, "b.s3.amazonaws.com"),
        ("http", "localhost", 80, "localhost"),
        ("http", "localhost", 9000, "localhost:9000"),
        ("https", "localhost", 80, "localhost:80"),
        ("http", "localhost", 443, "localhost:443"),
        ("http", "::1", 9000, "[::1]:9000"),
        ("https", "::1", 443, "[::1]"),
    ],
)
def test_the_host_header_leaves_out_the_default_port(scheme: str, host: str, port: int, header: str) -> None:
    """RFC 9110 §7.2: host, and the port unless it is the scheme's own; IPv6 in brackets."""
    assert Target(scheme, host, port, "/", "us-east-1", fast=True).host_header == header
