"""Tells which settings are in force, and where each came from: given, a variable, a file of AWS's, or the default.

Source of the orders: ``policy.resolution``. Nothing is decided here, so of what is odd only less is told.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bulkhaul.model.settings import Settings
from bulkhaul.policy.addressing import GLOBAL_REGION
from bulkhaul.policy.awsfiles import AwsFiles
from bulkhaul.policy.endpoints import environment_endpoint
from bulkhaul.policy.pacing import MAX_ATTEMPTS, retries_of

GIVEN = "given"
"""The source of what the program, or an option of the command line, has chosen."""

DEFAULT = "default"
"""The source of what nobody has chosen."""

HIDDEN = "(hidden)"


class InForce(msgspec.Struct, frozen=True):
    """One setting.

    Attributes:
        value: as people read it; a secret is hidden.
        source: where it came from.
    """

    name: str
    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value} ({self.source})"


def in_force(
    settings: Settings, environment: Mapping[str, str], files: AwsFiles | None, sources: Mapping[str, str] | None = None
) -> list[InForce]:
    """Return every setting with its source.

    Args:
        environment: as ``policy.environment.tidy`` leaves it.
        files: the two AWS files; None where they cannot be read.
        sources: what has given a setting, by its name, where that is known better than ``GIVEN``.

    >>> found = in_force(Settings(concurrency=4), {"AWS_REGION": "eu-west-1"}, None)
    >>> [str(one) for one in found if one.name in ("region", "concurrency", "fsync")]
    ['region = eu-west-1 (AWS_REGION)', 'fsync = False (default)', 'concurrency = 4 (given)']
    """
    chosen = _of_aws(settings, environment, files)
    default = Settings()
    others = [name for name in settings.__struct_fields__ if name not in chosen and name != "limits"]
    found = [InForce(name, *value) for name, value in chosen.items()]
    for name in sorted(others, key=lambda name: getattr(settings, name) != getattr(default, name)):
        value = getattr(settings, name)
        source = DEFAULT if value == getattr(default, name) else GIVEN
        found.append(InForce(name, _shown(name, value), source))
    return [_better(one, sources or {}) for one in found]


def _better(one: InForce, sources: Mapping[str, str]) -> InForce:
    known = sources.get(one.name) if one.source == GIVEN else None
    return one if known is None else msgspec.structs.replace(one, source=known)


def _shown(name: str, value: object) -> str:
    if name == "sse_c_key" and value is not None:
        return HIDDEN
    if name == "timeouts" and isinstance(value, msgspec.Struct):
        return " ".join(f"{field}:{getattr(value, field):g}" for field in value.__struct_fields__)
    return "none" if value is None else str(value)


def _of_aws(settings: Settings, environment: Mapping[str, str], files: AwsFiles | None) -> dict[str, tuple[str, str]]:
    """Return name → (value, source) of what also the environment and the AWS files choose."""
    name, source = _first(
        (settings.profile, GIVEN),
        (environment.get("AWS_DEFAULT_PROFILE"), "AWS_DEFAULT_PROFILE"),
        (environment.get("AWS_PROFILE"), "AWS_PROFILE"),
        ("default", DEFAULT),
    )
    profile = files.profiles.get(name, {}) if files is not None else {}
    where = f"profile {name!r} of the AWS configuration"
    url, variable = environment_endpoint(environment)
    services = files.services.get(str(profile.get("services", "")), {}) if files is not None else {}
    of_s3 = services.get("s3", {})
    s3 = profile.get("s3", {})
    style = settings.addressing_style
    attempts = retries_of(environment)
    return {
        "profile": (name, source),
        "endpoint_url": _first(
            (settings.endpoint_url, GIVEN),
            (url, variable),
            (_text(of_s3, "endpoint_url"), f"services section of {where}"),
            (_text(profile, "endpoint_url"), where),
            ("that of AWS", DEFAULT),
        ),
        "region": _first(
            (settings.region, GIVEN),
            (environment.get("AWS_REGION"), "AWS_REGION"),
            (environment.get("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION"),
            (_text(profile, "region"), where),
            (GLOBAL_REGION, DEFAULT),
        ),
        "retries": _first(
            (None if settings.retries is None else str(settings.retries), GIVEN),
            (None if attempts is None else str(attempts), MAX_ATTEMPTS),
            ("as suits the error", DEFAULT),
        ),
        "addressing_style": _first(
            (style if style != "auto" else None, GIVEN),
            (_text(s3, "addressing_style"), f"s3 section of {where}"),
            ("auto", DEFAULT),
        ),
        "ca_bundle": _first(
            (settings.ca_bundle, GIVEN),
            (environment.get("AWS_CA_BUNDLE"), "AWS_CA_BUNDLE"),
            (_text(profile, "ca_bundle"), where),
            (environment.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"),
            ("the SDK's", DEFAULT),
        ),
    }


def _first(*choices: tuple[str | None, str]) -> tuple[str, str]:
    return next((value, source) for value, source in choices if value)


def _text(section: object, key: str) -> str | None:
    value = section.get(key) if isinstance(section, Mapping) else None
    return value if isinstance(value, str) else None


__all__ = ["DEFAULT", "GIVEN", "InForce", "in_force"]
