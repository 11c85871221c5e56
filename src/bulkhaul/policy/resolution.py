"""Decides which credentials, region and endpoint the settings, the environment and the two AWS files choose.

credentials    environment, unless a profile is set ▸ credentials file ▸ credential_process ▸ configuration file
region         setting ▸ AWS_REGION ▸ AWS_DEFAULT_REGION ▸ profile ▸ us-east-1
endpoint       setting ▸ AWS_ENDPOINT_URL_S3 ▸ AWS_ENDPOINT_URL ▸ S3_ENDPOINT_URL ▸ services section ▸ profile ▸ AWS

It answers what the SDK would, without the SDK, and only where that is certain. Everything else is ``AskSdk``: roles,
single sign-on, metadata services, proxies, what is odd, and every variable and key that is not known here. So are all
errors: the SDK's way tells them.

Source: botocore.credentials, ``create_credential_resolver``; botocore.configprovider; botocore.args; wire.sdk.client.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bulkhaul.model.settings import Settings
from bulkhaul.policy.addressing import GLOBAL_REGION, Addressing, Place, aws_endpoint, given_endpoint
from bulkhaul.policy.awsfiles import AwsFiles, Section, Unsure, read_files
from bulkhaul.policy.endpoints import environment_endpoint
from bulkhaul.policy.environment import chosen_region
from bulkhaul.policy.plainhttp import is_loopback


class AskSdk(msgspec.Struct, frozen=True):
    """Only the SDK can tell; the reason holds no value of the user's."""

    reason: str


class StaticKeys(msgspec.Struct, frozen=True):
    """Keys as they stand in the environment or a file. ``repr`` never shows them (I5).

    Attributes:
        expires: when they end, as text; empty where that is not told.
        file: the variable that may name the file which they stand in; empty for the environment.
    """

    access_key: str
    secret_key: str
    token: str = ""
    expires: str = ""
    file: str = ""

    def __repr__(self) -> str:
        return "StaticKeys()"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return []


class KeysOfProcess(msgspec.Struct, frozen=True):
    """Keys that a program prints. ``repr`` never shows its arguments, which may be secrets.

    Attributes:
        command: as it stands in the profile, to be split as a shell would.
    """

    command: str

    def __repr__(self) -> str:
        return "KeysOfProcess()"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return []


class Resolved(msgspec.Struct, frozen=True):
    """What the SDK would resolve.

    Attributes:
        profile: its name, for messages.
        keys: None where requests are not signed, or the keys are given.
        addressing: the endpoint, the region, and how buckets are named there.
        ca_bundle: file of certificate authorities that the user chose; None for the SDK's own.
    """

    profile: str
    keys: StaticKeys | KeysOfProcess | None
    addressing: Addressing
    verify_tls: bool
    ca_bundle: str | None

    def place(self, bucket: str) -> Place | AskSdk:
        """Return where requests for a bucket go."""
        try:
            return self.addressing.place(bucket)
        except Unsure as unsure:
            return AskSdk(str(unsure))


def resolve(
    settings: Settings,
    environment: Mapping[str, str],
    config_text: str | None,
    credentials_text: str | None,
    *,
    given_keys: bool = False,
) -> Resolved | AskSdk:
    """Return what the SDK would resolve, or that only it can tell.

    Args:
        environment: as ``policy.environment.tidy`` leaves it.
        config_text: of the configuration file; None if there is no such file.
        credentials_text: the same of the credentials file.
        given_keys: keys are given by who asks: none are looked for.

    >>> keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    >>> resolved = resolve(Settings(endpoint_url="http://localhost:9000"), keys, None, None)
    >>> resolved.place("photos")
    Place(scheme='http', host='localhost', port=9000, path_prefix='/photos/', region='us-east-1')
    >>> resolve(Settings(), {}, None, None)
    AskSdk(reason='no keys are in the environment or the files')
    """
    try:
        _require_known(environment)
        chosen = _Chosen(settings, environment, read_files(config_text, credentials_text))
        keys = None if given_keys else chosen.keys()
        return Resolved(chosen.name, keys, chosen.addressing(), settings.verify_tls, chosen.ca_bundle())
    except Unsure as unsure:
        return AskSdk(str(unsure))


# What is known

_READ = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        "AWS_CA_BUNDLE",
    }
)
"""The variables that are read here."""

_WITHOUT_EFFECT = frozenset(
    {
        "AWS_ACCOUNT_ID",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_DEFAULT_OUTPUT",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EXECUTION_ENV",
        "AWS_MAX_ATTEMPTS",
        "AWS_PAGER",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_RETRY_MODE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SDK_LOAD_CONFIG",
        "AWS_SDK_UA_APP_ID",
    }
)
"""Variables that the SDK does not read, that our clients override, that go into the user agent only, or whose source
of credentials comes after all sources that are answered here."""

_PREFIXES_WITHOUT_EFFECT = ("AWS_CLI_", "AWS_LAMBDA_", "AWS_XRAY_", "AWS_ENDPOINT_URL_")
"""The same, by the beginning of the name: of other programs, and the endpoints of other services."""

_PROFILE_KEYS = frozenset(
    {
        # read here
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_security_token",
        "aws_session_token",
        "credential_process",
        "region",
        "endpoint_url",
        "ignore_configured_endpoint_urls",
        "services",
        "s3",
        "use_dualstack_endpoint",
        "use_fips_endpoint",
        "ca_bundle",
        # without effect, as their variables
        "aws_account_id",
        "max_attempts",
        "output",
        "request_checksum_calculation",
        "response_checksum_validation",
        "retry_mode",
        "sdk_ua_app_id",
        "tcp_keepalive",
    }
)

_S3_KEYS = frozenset(
    {
        # read here
        "addressing_style",
        "use_dualstack_endpoint",
        "us_east_1_regional_endpoint",
        # of the AWS CLI alone
        "max_bandwidth",
        "max_concurrent_requests",
        "max_queue_size",
        "multipart_chunksize",
        "multipart_threshold",
        "preferred_transfer_client",
        "target_bandwidth",
    }
)


def _require_known(environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if name.startswith("AWS_"):
            if name not in _READ and name not in _WITHOUT_EFFECT and not name.startswith(_PREFIXES_WITHOUT_EFFECT):
                raise Unsure(f"{name} is set")
        elif name[-6:].lower() == "_proxy" and name.lower() != "no_proxy" and value:
            raise Unsure("a proxy is configured")
        elif name.startswith("BOTO"):
            raise Unsure(f"{name} is set")


class _Chosen:
    """The choices of one profile."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], files: AwsFiles) -> None:
        self._settings = settings
        self._environment = environment
        self._files = files
        profile = settings.profile
        if profile is None:
            profile = environment.get("AWS_DEFAULT_PROFILE", environment.get("AWS_PROFILE"))
        if profile is not None and profile not in files.profiles:
            raise Unsure("there is no such profile")
        self.name = profile or "default"
        self._profile = files.profiles.get(self.name, {})
        if any(key not in _PROFILE_KEYS and not key.startswith("cli_") for key in self._profile):
            raise Unsure("the profile holds a setting that is not known")
        s3 = self._profile.get("s3", {})
        if not isinstance(s3, dict) or not s3.keys() <= _S3_KEYS:
            raise Unsure("the profile's s3 section holds a setting that is not known")
        self._s3 = s3

    # Credentials

    def keys(self) -> StaticKeys | KeysOfProcess | None:
        if not self._settings.sign_requests:
            return None
        if self._settings.profile is None:
            if "AWS_ACCESS_KEY_ID" in self._environment:
                return self._keys_of_environment()
            if "AWS_WEB_IDENTITY_TOKEN_FILE" in self._environment:
                raise Unsure("AWS_WEB_IDENTITY_TOKEN_FILE is set")
        stored = self._files.credentials.get(self.name, {})
        if "aws_access_key_id" in stored:
            return _static_keys(stored, "AWS_SHARED_CREDENTIALS_FILE")
        if (command := _text(self._profile, "credential_process")) is not None:
            return KeysOfProcess(command)
        configured = self._files.configured.get(self.name, {})
        if "aws_access_key_id" in configured:
            return _static_keys(configured, "AWS_CONFIG_FILE")
        raise Unsure("no keys are in the environment or the files")

    def _keys_of_environment(self) -> StaticKeys:
        environment = self._environment
        if "AWS_SECRET_ACCESS_KEY" not in environment:
            raise Unsure("a key has no secret")
        return StaticKeys(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SECURITY_TOKEN") or environment.get("AWS_SESSION_TOKEN", ""),
            environment.get("AWS_CREDENTIAL_EXPIRATION", ""),
        )

    # Region and endpoint

    def addressing(self) -> Addressing:
        region = chosen_region(self._settings.region, self._environment)
        if region is None:
            region = self._environment.get("AWS_DEFAULT_REGION") or _text(self._profile, "region")
        dual_stack = self._flag("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT")
        dual_stack = _truth(_text(self._s3, "use_dualstack_endpoint")) or dual_stack
        fips = self._flag("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT")
        regional = self._regional()
        if region is None and regional:
            raise Unsure("the regional endpoint of no region is asked for")
        region = GLOBAL_REGION if region is None else region
        style = self._style()
        if (url := self._endpoint_url()) is None:
            return aws_endpoint(
                region, dual_stack=dual_stack, fips=fips, regional=regional, forced_path=style == "path"
            )
        if dual_stack or fips:
            raise Unsure("dual stack or FIPS is asked for, of an endpoint that is given")
        addressing = given_endpoint(url, region=region, virtual=style == "virtual")
        shown = addressing.scheme == "http" and not is_loopback(addressing.host)
        if shown and (self._settings.sse_c_key is not None or not self._settings.allow_http):
            raise Unsure("plain http shows signatures and data")
        return addressing

    def _style(self) -> str:
        configured = _text(self._s3, "addressing_style")
        if configured not in (None, "auto", "path", "virtual"):
            raise Unsure("the addressing style is not known")
        style = self._settings.addressing_style
        return style if style != "auto" else configured or "auto"

    def _regional(self) -> bool:
        variable = self._environment.get("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT")
        value = variable if variable is not None else _text(self._s3, "us_east_1_regional_endpoint")
        if value not in (None, "legacy", "regional"):
            raise Unsure("us_east_1_regional_endpoint is not known")
        return value == "regional"

    def _endpoint_url(self) -> str | None:
        """Return the endpoint that is given, None for AWS."""
        ignored = self._flag("ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        if self._settings.endpoint_url:
            return self._settings.endpoint_url
        url, variable = environment_endpoint(self._environment)
        if ignored and variable.startswith("AWS_"):
            raise Unsure("the profile ignores the endpoint of the environment")
        if url or ignored:
            return url or None
        return self._endpoint_of_services() or _text(self._profile, "endpoint_url") or None

    def _endpoint_of_services(self) -> str | None:
        name = _text(self._profile, "services")
        if name is None:
            return None
        services = self._files.services.get(name)
        if not services:
            raise Unsure("there is no such services section")
        s3 = services.get("s3", {})
        if not isinstance(s3, dict) or not s3.keys() <= {"endpoint_url"}:
            raise Unsure("the services section holds a setting that is not known")
        return s3.get("endpoint_url")

    def _flag(self, key: str, variable: str) -> bool:
        value = self._environment.get(variable)
        return _truth(value if value is not None else _text(self._profile, key))

    # Certificate authorities

    def ca_bundle(self) -> str | None:
        if not self._settings.verify_tls:
            return None
        configured = self._environment.get("AWS_CA_BUNDLE")
        if configured is None:
            configured = _text(self._profile, "ca_bundle")
        if configured is None:
            configured = self._environment.get("REQUESTS_CA_BUNDLE")
        chosen = self._settings.ca_bundle or configured
        if chosen is not None and not chosen.strip():
            raise Unsure("the file of certificate authorities has no name")
        return chosen


def _static_keys(section: Section, file: str) -> StaticKeys:
    secret = _text(section, "aws_secret_access_key")
    if secret is None:
        raise Unsure("a key has no secret")
    token = _text(section, "aws_security_token")
    if token is None:
        token = _text(section, "aws_session_token")
    return StaticKeys(_text(section, "aws_access_key_id") or "", secret, token or "", file=file)


def _text(section: Mapping[str, object], key: str) -> str | None:
    value = section.get(key)
    if value is not None and not isinstance(value, str):
        raise Unsure(f"{key} is a section")
    return value


def _truth(value: str | None) -> bool:
    """Return a flag as the SDK reads it; a word that it takes for no by chance is not certain."""
    if value is not None and value.lower() not in ("true", "false"):
        raise Unsure("a flag is neither true nor false")
    return value is not None and value.lower() == "true"
