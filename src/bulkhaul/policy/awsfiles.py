"""Reads the texts of the two AWS files exactly as the SDK does, and says so where it cannot.

config                 [default], [profile NAME], [services NAME]; an indented block below ``s3 =`` is a nested section
credentials            [NAME]; what it says of a profile overrides what the configuration file says

``configparser`` does the parsing, as in the SDK; it is imported only where there is a text.

Source: botocore.configloader; botocore.session, ``Session.full_config``.
"""

from __future__ import annotations

import re

import msgspec

Value = str | dict[str, str]
"""A setting, or the settings of a nested section."""

Section = dict[str, Value]

_PLAIN_WORDS = r"[A-Za-z0-9_.@:/+=, \t-]*"
"""A heading whose words are parted by blanks alone, without quotes or escapes."""


class Unsure(Exception):
    """What the SDK would make of the given is not known for certain; the text is the reason, and shows no value."""


class AwsFiles(msgspec.Struct, frozen=True):
    """What the two files say, by name.

    Attributes:
        profiles: of both files.
        configured: the profiles of the configuration file alone.
        credentials: the sections of the credentials file alone.
        services: the ``services`` sections of the configuration file.
    """

    profiles: dict[str, Section]
    configured: dict[str, Section]
    credentials: dict[str, Section]
    services: dict[str, Section]

    def __repr__(self) -> str:
        return "AwsFiles()"  # they hold secrets


def read_files(config_text: str | None, credentials_text: str | None) -> AwsFiles:
    r"""Return what the files say; None stands for a file that does not exist.

    Raises:
        Unsure: a text is none that the SDK can read.

    >>> files = read_files("[profile work]\nregion=eu-west-1\ns3 =\n  addressing_style = path\n", "[work]\nregion=x\n")
    >>> files.profiles
    {'work': {'region': 'x', 's3': {'addressing_style': 'path'}}}
    """
    configured: dict[str, Section] = {}
    services: dict[str, Section] = {}
    for heading, section in _sections(config_text, "the configuration file").items():
        if heading.startswith("profile"):
            configured.update(_named(heading, section))
        elif heading.startswith("sso-session"):
            continue
        elif heading.startswith("services"):
            services.update(_named(heading, section))
        elif heading == "default":
            configured[heading] = section
    credentials = _sections(credentials_text, "the credentials file")
    profiles = {name: dict(section) for name, section in configured.items()}
    for name, section in credentials.items():
        profiles.setdefault(name, {}).update(section)
    return AwsFiles(profiles, configured, credentials, services)


def _sections(text: str | None, name: str) -> dict[str, Section]:
    if not text:
        return {}
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise Unsure(f"{name} cannot be parsed") from error
    found: dict[str, Section] = {}
    for heading in parser.sections():
        options = {option: parser.get(heading, option) for option in parser.options(heading)}
        found[heading] = {
            option: _nested(value, name) if value.startswith("\n") else value for option, value in options.items()
        }
    return found


def _nested(value: str, name: str) -> dict[str, str]:
    nested: dict[str, str] = {}
    for line in filter(None, map(str.strip, value.splitlines())):
        key, equals, text = line.partition("=")
        if not equals:
            raise Unsure(f"{name} has a nested section that cannot be parsed")
        nested[key.strip()] = text.strip()
    return nested


def _named(heading: str, section: Section) -> dict[str, Section]:
    """Return the section by the name that is the heading's second word, nothing if it has more or fewer words."""
    if re.fullmatch(_PLAIN_WORDS, heading):
        words = heading.split()
    else:
        import shlex

        try:
            words = shlex.split(heading)
        except ValueError:  # a quote that is never closed
            return {}
    return {words[1]: section} if len(words) == 2 else {}
