"""Reads the SDK's variables as most tools do: an empty variable is unset, and ``AWS_REGION`` counts.

The SDK takes an empty variable for a value: a profile, a region or a file of authorities without a name.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

CONFIG_FILE = ("AWS_CONFIG_FILE", "~/.aws/config")
CREDENTIALS_FILE = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
"""The variables that name the SDK's two files, and where they are otherwise. Source: botocore.configprovider."""

_ALSO_OURS = frozenset({"BOTO_CONFIG", "REQUESTS_CA_BUNDLE", "S3_ENDPOINT_URL"})
"""What the SDK and this package read besides AWS_*."""

_NO_PATHS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "S3_ENDPOINT_URL",
)
"""Variables whose values never begin or end with a blank: a blank there came along from a file or a secret store."""


def tidy(environ: MutableMapping[str, str]) -> None:
    r"""Drop the SDK's variables that are empty, and the blanks and line ends around values that never have any.

    >>> given = {"AWS_PROFILE": "", "AWS_REGION": "eu-west-1\n", "AWS_CONFIG_FILE": " my config", "HOME": ""}
    >>> tidy(given)
    >>> given
    {'AWS_REGION': 'eu-west-1', 'AWS_CONFIG_FILE': ' my config', 'HOME': ''}
    """
    for name in [name for name in environ if name.startswith("AWS_") or name in _ALSO_OURS]:
        value = environ[name]
        if not value.strip():
            del environ[name]
        elif name in _NO_PATHS and value != value.strip():
            environ[name] = value.strip()


def chosen_region(setting: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the region that the user chose; None leaves it to the SDK.

    Other SDKs read ``AWS_REGION``; boto3 reads ``AWS_DEFAULT_REGION`` and the configuration files only.
    """
    return setting or environment.get("AWS_REGION") or None
