"""Runs the program that a profile names for its keys, reads what it prints as the SDK does, and words its failures.

A program that cannot be started, fails or does not end is told at once: it may ask its user something, and is not run
twice. Odd output is left to the SDK, which runs the program again.

Source: botocore.credentials, ``ProcessProvider``; AWS SDKs and Tools Reference Guide, "Process credential provider".
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable

import msgspec

from bulkhaul.model.errors import CredentialsError
from bulkhaul.policy.awsfiles import Unsure

MAX_OUTPUT_BYTES = 64 * 1024
"""Longest output that is read. Keys and a token are a few kilobytes at most."""

MAX_CAUSE = 300
"""Characters of what a source of credentials says that messages quote at most."""


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
        CredentialsError: it could not be started, failed, or did not end in time.
        Unsure: it is no command, or printed something odd.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:  # a quote that is never closed
        raise Unsure("the credential_process is no command") from error
    if not words or "\0" in command:
        raise Unsure("the credential_process is no command")
    named = name_process(profile, words[0])
    try:
        # It keeps the terminal, on which it may ask for a code; the SDK does not show its errors either.
        process = subprocess.Popen(  # noqa: S603 - the user's own
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_ends_with_us(),
        )
    except OSError as error:
        raise not_started(named, error) from error
    with process:
        try:
            output, said = _read(process, time.monotonic() + deadline_s)
        except TimeoutError:
            text = f"{named} did not end within {deadline_s:g} s; run it by hand to see why"
            raise CredentialsError(text) from None
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        try:
            raise failed(named, said.decode())
        except UnicodeDecodeError:
            raise Unsure("the credential_process fails with bytes that are no text") from None
    return read_output(output)


def _ends_with_us() -> Callable[[], None]:
    """Return what a new process does before it becomes the program, so that it is killed when this process ends.

    Workers are killed without warning, and the program ignores Ctrl-C as they do. It is one system call, and needs no
    lock that another thread may hold at the fork.
    """
    import ctypes  # no other command needs it

    prctl, us = ctypes.CDLL(None).prctl, os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != us:  # we have just ended
            os._exit(1)

    return arrange


_PR_SET_PDEATHSIG = 1
"""Source: Linux, include/uapi/linux/prctl.h."""


def _read(process: subprocess.Popen[bytes], end_s: float) -> tuple[bytes, bytes]:
    """Return what the process prints and the end of what it says on stderr, once it has ended.

    Raises:
        TimeoutError: it has not ended at ``end_s``.
        Unsure: it prints too much.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.fileno(), process.stderr.fileno()
    texts = {out: bytearray(), err: bytearray()}
    poll = select.poll()
    for fd in texts:
        poll.register(fd, select.POLLIN)
    unfinished = {out, err}
    while unfinished:
        ready = poll.poll(max(0.0, end_s - time.monotonic()) * 1000)
        if not ready or time.monotonic() > end_s:
            raise TimeoutError
        for fd, _ in ready:
            read = os.read(fd, MAX_OUTPUT_BYTES)
            texts[fd] += read
            del texts[err][:-MAX_OUTPUT_BYTES]
            if len(texts[out]) > MAX_OUTPUT_BYTES:
                raise Unsure("the credential_process prints too much")
            if not read:
                poll.unregister(fd)
                unfinished.discard(fd)
    try:
        process.wait(max(0.0, end_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return bytes(texts[out]), bytes(texts[err])


def name_process(profile: str, program: str) -> str:
    """Name the program in a message, without its arguments, which may be secrets."""
    return f"the credential_process of profile {profile!r}, {program},"


def not_started(named: str, error: OSError) -> CredentialsError:
    """Return the error of a program that could not be started."""
    text = f"{named} cannot be started; correct its path or its permissions"
    return CredentialsError(text, cause=error.strerror or type(error).__name__)


def failed(named: str, said: str) -> CredentialsError:
    """Return the error of a program that failed.

    Args:
        said: what it wrote on stderr.
    """
    from bulkhaul.wire.masking import hidden_by_place

    return CredentialsError(
        f"{named} failed; run it by hand to see why", cause=hidden_by_place(said.strip())[-MAX_CAUSE:]
    )


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
