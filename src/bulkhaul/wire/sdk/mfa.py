"""Asks the user for an MFA code, on the terminal that the command was started from.

The SDK's own prompt does not fit a worker: without a terminal it reads stdin, which a worker does not have, and it
switches off the echo, which stays off if the worker is killed. A code expires within a minute, so it may be seen.
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
        CredentialsError: there is no terminal, or the command is in its background, or nothing was typed.
    """
    try:
        fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _no_terminal() from error
    try:
        if os.tcgetpgrp(fd) != os.getpgrp():  # in the background, a read would stop the process
            raise _no_terminal()
        os.write(fd, printable(prompt).encode())
        code = os.read(fd, _MOST_BYTES).decode(errors="replace").strip()
    except OSError as error:
        raise _no_terminal() from error
    finally:
        os.close(fd)
    if not code:
        raise CredentialsError("no MFA code was typed, and the profile asks for one")
    return code


def _no_terminal() -> CredentialsError:
    return CredentialsError(
        "the profile asks for an MFA code, and there is no terminal to type it on; run the command in the foreground of"
        " one, or get temporary credentials first (aws sts get-session-token, assume-role) and set them as AWS_*"
    )
