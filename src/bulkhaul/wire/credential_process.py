"""Runs the program that a profile names for its keys, and reads what it prints as the SDK does.

Whatever is odd is left to the SDK, which runs the program again and tells what is wrong with it. Only a program that
does not end is not run twice.

Source: botocore.credentials, ``ProcessProvider``; AWS SDKs and Tools Reference Guide, "Process credential provider".
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time

import msgspec

from bulkhaul.model.errors import CredentialsError
from bulkhaul.policy.awsfiles import Unsure

MAX_OUTPUT_BYTES = 64 * 1024
"""Longest output that is read. Keys and a token are a few kilobytes at most."""


class Printed(msgspec.Struct, frozen=True):
    """What the program printed. ``repr`` never shows it (I5).

    Attributes:
        expires: when the keys end, as text; empty if they do not.
    """

    access_key: str
    secret_key: str
    token: str
    expires: str

    def __repr__(self) -> str:
        return "Printed()"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return []


def run_process(command: str, *, profile: str, deadline_s: float) -> Printed:
    """Run the program and return what it printed; it blocks.

    Args:
        command: as it stands in the profile.
        profile: its name, for messages.
        deadline_s: how long it may take; it is killed then.

    Raises:
        CredentialsError: it did not end in time.
        Unsure: it could not be started, failed, or printed something else.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:  # a quote that is never closed
        raise Unsure("the credential_process is no command") from error
    if not words:
        raise Unsure("the credential_process is no command")
    try:
        # It keeps the terminal, on which it may ask for a code; the SDK does not show its errors either.
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603 - the user's own
    except (OSError, ValueError) as error:
        raise Unsure("the credential_process cannot be started") from error
    try:
        output = _output_of(process, time.monotonic() + deadline_s)
    except TimeoutError:
        text = f"the credential_process of profile {profile!r}, {words[0]}, did not end within {deadline_s:g} s"
        raise CredentialsError(f"{text}; run it by hand to see why") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
    if process.returncode != 0:
        raise Unsure("the credential_process failed")
    return read_output(output)


def _output_of(process: subprocess.Popen[bytes], end_s: float) -> bytes:
    """Return all that the process prints, once it has ended.

    Raises:
        TimeoutError: it has not ended at ``end_s``.
        Unsure: it prints too much.
    """
    assert process.stdout is not None
    fd = process.stdout.fileno()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    output = bytearray()
    while poll.poll(max(0.0, end_s - time.monotonic()) * 1000):
        read = os.read(fd, MAX_OUTPUT_BYTES)
        output += read
        if len(output) > MAX_OUTPUT_BYTES:
            raise Unsure("the credential_process prints too much")
        if not read:
            try:
                process.wait(max(0.0, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                break
            return bytes(output)
    raise TimeoutError


def read_output(output: bytes) -> Printed:
    """Return the keys in what a program printed.

    Raises:
        Unsure: it is not exactly what the interface of such programs asks for.
    """
    try:
        said = msgspec.json.decode(output, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unsure("the credential_process prints no JSON") from error
    version, access_key, secret_key = said.get("Version"), said.get("AccessKeyId"), said.get("SecretAccessKey")
    token, expires = said.get("SessionToken"), said.get("Expiration")
    token, expires = "" if token is None else token, "" if expires is None else expires
    if type(version) is not int or version != 1:
        raise Unsure("the credential_process prints another version")
    if not (isinstance(access_key, str) and isinstance(secret_key, str) and isinstance(token, str)):
        raise Unsure("the credential_process prints no keys")
    if not isinstance(expires, str) or said.get("Expiration") == "":
        raise Unsure("the credential_process prints no date")
    return Printed(access_key, secret_key, token, expires)
