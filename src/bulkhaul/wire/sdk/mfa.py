"""Asks a person for an MFA code, on the terminal that the command was started from; it must not know what it is for.

The SDK's own prompt reads stdin where there is no terminal, which is nobody's in a worker, and switches the echo off,
which stays off when the worker is killed. A code is worth nothing a minute later, so it may be seen.
"""

from __future__ import annotations

import os

from bulkhaul.model.errors import CredentialsError
from bulkhaul.policy.naming import printable

_TERMINAL = "/dev/tty"

_MOST_BYTES = 1024


def ask_code(prompt: str) -> str:
    """Return what is typed after the prompt.

    Raises:
        CredentialsError: there is no terminal, or it is another program's turn on it, or nothing was typed.
    """
    try:
        fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _nobody_to_ask() from error
    try:
        if os.tcgetpgrp(fd) != os.getpgrp():  # in the background, a read would stop the process
            raise _nobody_to_ask()
        os.write(fd, printable(prompt).encode())
        code = os.read(fd, _MOST_BYTES).decode(errors="replace").strip()
    except OSError as error:
        raise _nobody_to_ask() from error
    finally:
        os.close(fd)
    if not code:
        raise CredentialsError("no MFA code was typed, and the profile asks for one")
    return code


def _nobody_to_ask() -> CredentialsError:
    return CredentialsError(
        "the profile asks for an MFA code, and there is no terminal to type it on; run the command in the foreground of"
        " one, or get temporary credentials first (aws sts get-session-token, assume-role) and set them as AWS_*"
    )
