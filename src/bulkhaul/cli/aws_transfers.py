"""Finds what the AWS configuration file says of a command's transfers, as the AWS CLI obeys it; programs do not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkhaul.policy.awsfiles import AwsFiles

_MARKS = ("max_", "multipart_")
"""What a text holds that says anything of transfers: others are not parsed, for that costs 10 ms."""


def transfers_of_profile(profile: str | None) -> tuple[dict[str, int], str]:
    """Return fields of ``Settings``, and where they stand; nothing where the file cannot be read: the engine says so.

    Raises:
        UsageError: a value is none; the message names file, profile and key.
    """
    from bulkhaul.policy.environment import CONFIG_FILE

    variable, usual = CONFIG_FILE
    path = os.path.expanduser(os.environ.get(variable) or usual)
    files = _read(path)
    if files is None:
        return {}, ""
    from bulkhaul.policy.pacing import retries_of
    from bulkhaul.policy.transfer_config import retry_settings, transfer_settings

    name = profile or os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default"
    place = f"{path}, profile {name}"
    chosen = files.profiles.get(name, {})
    section = chosen.get("s3", {})
    found = transfer_settings(section, place) if isinstance(section, dict) else {}
    if retries_of(os.environ) is None:
        found |= retry_settings(chosen, place)
    return found, place


def _read(path: str) -> AwsFiles | None:
    try:
        with open(path) as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return None
    if not any(mark in text for mark in _MARKS):
        return None
    from bulkhaul.policy.awsfiles import Unsure, read_files

    try:
        return read_files(text, None)
    except Unsure:
        return None
