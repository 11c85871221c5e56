"""Made-up configurations of the SDK: two files, variables, settings and names of buckets, mostly sane, sometimes odd.

They are drawn from a ``random.Random``: values that are all drawn by Hypothesis are odd or empty too often, and most
configurations would be refused for the first odd thing in them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec

ODD = 0.02
"""How likely an odd value, heading or line is. A configuration has some thirty places for one."""

Kinds = Mapping[str, tuple[list[str], list[str]]]
"""The settings of one place: usual values, and odd ones."""


class Configuration(msgspec.Struct, frozen=True):
    """One configuration.

    Attributes:
        config: text of the configuration file, None for no file.
        credentials: the same of the credentials file.
        variables: of the environment.
        settings: what is given on the command line.
    """

    config: str | None
    credentials: str | None
    variables: dict[str, str]
    settings: dict[str, Any]
    buckets: list[str]


REGIONS = (
    ["eu-west-1", "us-east-1", "us-gov-west-1", "cn-north-1", "ap-southeast-7", "us-west-2", "ca-central-1",
     "us-east-1"],
    ["aws-global", "fips-us-east-1", "us-iso-east-1", "EU-west-1", "eusc-de-east-1", "12", "-x", "xx-yy-1",
     "a b", "garage", "eu-1", "s3-external-1", "us-east-1-fips", "aws-cn-global", "us-gov-1", "us-eäst-1",
     "us-east-١", "", "_"],
)  # fmt: skip
ENDPOINTS = (
    ["http://127.0.0.1:9000", "https://store.example.com", "http://localhost:9000/base",
     "https://s3.garage.example:443/", "https://s3.eu-west-1.amazonaws.com", "https://[::1]:9000",
     "http://[::1]", "https://10.0.0.1/a/b/", "https://a.b:80", "https://Store.Example.COM:8443/x~y",
     "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"],
    ["https://s3-accelerate.amazonaws.com", "https://host/a%20b", "https://h/../x", "ftp://host", "https://",
     "host:9000", "https://host:0", "https://host:70000", "https://u@host", "https://h?q=1",
     "https://host_name", "HTTPS://host", "https://host.", "https://h//x", "https://h/./x", "https://-h",
     "https://h/é", "https://h:0443", "https://[::1%25lo]:9", "https://h:", "https://1.2.3", "https://1.2.3.4.",
     "https://999.1.1.1", "https://[1:2:3:4:5:6:7::]", "https://a-.b", "https://[::ffff:1.2.3.4]",
     "https://h#f", "http://store.example.com", "https://h/~x/..y", "https://[v1.x]", ""],
)  # fmt: skip
FLAGS = (["true", "false", "True", "TRUE", "false", "False"], ["yes", "", "1", " true", "truе"])
STYLES = (["auto", "path", "virtual", "virtual"], ["Path", "", "dns"])
KEYS = (["AKIDEXAMPLE", "AKIDOTHER", "a"], ["", "a key", "ключ"])
REGIONAL = (["legacy", "regional"], ["Regional", ""])
PROFILES = (["work", "work", "default"], ["a b", "nobody", "", "profile work"])

OPTIONS: Kinds = {
    "region": REGIONS,
    "endpoint_url": ENDPOINTS,
    "ignore_configured_endpoint_urls": FLAGS,
    "services": (["local"], ["there is none", "\n  no = name"]),
    "use_dualstack_endpoint": FLAGS,
    "use_fips_endpoint": FLAGS,
    "ca_bundle": (["ca.pem"], ["", "\n  no = name"]),
    "credential_process": (["/bin/issue --for me", "/bin/issue 'a b' \"c\""], ["x", "", "'"]),
    "output": (["json"], ["", "\n  no = name"]),
    "cli_pager": ([""], ["less"]),
    "retry_mode": (["adaptive"], ["none"]),
    "max_attempts": (["5"], ["many"]),
    "aws_account_id": (["123456789012"], [""]),
}
ODD_OPTIONS: Kinds = {
    "aws_access_key_id": KEYS,
    "aws_secret_access_key": KEYS,
    "aws_session_token": KEYS,
    "role_arn": (["arn:aws:iam::123456789012:role/r"], [""]),
    "source_profile": (["default"], [""]),
    "sso_session": (["my-sso"], [""]),
    "sso_account_id": (["123456789012"], [""]),
    "login_session": (["x"], [""]),
    "web_identity_token_file": (["/nowhere"], [""]),
    "s3_us_east_1_regional_endpoint": REGIONAL,
    "sts_regional_endpoints": (["nowhere"], ["legacy"]),
    "defaults_mode": (["standard"], ["legacy"]),
    "s3": ([""], ["no section"]),
    "region": (["\n  no = name"], [""]),
    "unknown": (["thing"], [""]),
}
S3_OPTIONS: Kinds = {
    "addressing_style": STYLES,
    "use_dualstack_endpoint": FLAGS,
    "us_east_1_regional_endpoint": REGIONAL,
    "max_concurrent_requests": (["20"], [""]),
    "multipart_threshold": (["64MB"], [""]),
}
ODD_S3_OPTIONS: Kinds = {
    "use_accelerate_endpoint": FLAGS,
    "payload_signing_enabled": FLAGS,
    "force_path_style": FLAGS,
    "signature_version": (["s3"], ["s3v4"]),
    "endpoint_url": ENDPOINTS,
    "accelerate": FLAGS,
}
VARIABLES: Kinds = {
    "AWS_SESSION_TOKEN": KEYS,
    "AWS_SECURITY_TOKEN": KEYS,
    "AWS_PROFILE": PROFILES,
    "AWS_DEFAULT_PROFILE": PROFILES,
    "AWS_REGION": REGIONS,
    "AWS_DEFAULT_REGION": REGIONS,
    "AWS_ENDPOINT_URL": ENDPOINTS,
    "AWS_ENDPOINT_URL_S3": ENDPOINTS,
    "AWS_ENDPOINT_URL_STS": ENDPOINTS,
    "S3_ENDPOINT_URL": ENDPOINTS,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": FLAGS,
    "AWS_USE_DUALSTACK_ENDPOINT": FLAGS,
    "AWS_USE_FIPS_ENDPOINT": FLAGS,
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": REGIONAL,
    "AWS_CA_BUNDLE": (["ca.pem"], ["/nowhere.pem", ""]),
    "REQUESTS_CA_BUNDLE": (["other.pem"], ["/nowhere.pem", ""]),
    "AWS_MAX_ATTEMPTS": (["5"], ["many"]),
    "AWS_RETRY_MODE": (["adaptive"], ["none"]),
    "AWS_REQUEST_CHECKSUM_CALCULATION": (["when_supported"], ["never"]),
    "AWS_ROLE_ARN": (["arn:aws:iam::123456789012:role/r"], [""]),
    "AWS_EXECUTION_ENV": (["AWS_Lambda_python3.11"], [""]),
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": (["http://127.0.0.1:9/"], ["x"]),
    "AWS_SDK_UA_APP_ID": (["x"], [""]),
    "AWS_ACCOUNT_ID": (["123456789012"], [""]),
    "no_proxy": (["localhost"], ["*"]),
}
ODD_VARIABLES: Kinds = {
    "AWS_ACCESS_KEY_ID": KEYS,
    "AWS_SECRET_ACCESS_KEY": KEYS,
    "AWS_WEB_IDENTITY_TOKEN_FILE": (["/nowhere"], [""]),
    "AWS_CREDENTIAL_FILE": (["/nowhere"], [""]),
    "AWS_CREDENTIAL_EXPIRATION": (["2199-01-01T00:00:00Z", "2001-01-01T00:00:00Z"], ["never", "2199"]),
    "AWS_DEFAULTS_MODE": (["standard", "legacy"], ["nothing"]),
    "AWS_STS_REGIONAL_ENDPOINTS": (["regional"], ["nothing"]),
    "AWS_DATA_PATH": (["/nowhere"], [""]),
    "BOTO_CONFIG": (["/nowhere"], [""]),
    "http_proxy": (["http://127.0.0.1:9"], [""]),
}
BUCKETS = (
    ["photos", "photos.2024", "Photos", "my_photos", "ab", "10.0.0.1", "xn--photos", "a..b", "-photos",
     "photos-", "photos.", ".photos", "1.2.3.4.5", "1234567", "a-b.c-d", "a.-b", "a" * 63, "a" * 64, "b" * 255,
     "abc." * 20 + "d", "abc", "a.b", "photos-s3", "photos--x-s4", "a-b_c", "00.0.0.1", "1.1.1.1111", "A.b",
     "a.B", "photos.x--s3"],
    ["photos--ol-s3", "photos--euw1-az1--x-s3", "photos-s3alias", "a.mrap", "é", "a b", "..", ".", "a/b",
     "photos\n", "", "b" * 256, "x" * 44 + "--op-s3", "x--xa-s3",
     "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap", "a%62", "a?b", "ª"],
)  # fmt: skip
CONFIG_HEADINGS = (
    ["[default]", "[default]", "[profile work]", "[profile work]", "[profile other]", "[sso-session my-sso]",
     "[plugins]"],
    ["[profile default]", "[ profile work ]", "[profile  work]", "[profile 'a b']", '[profile "a b"]',
     "[profile a\\ b]", "[profile a b]", "[profilework]", "[work]", "[DEFAULT]", "[profile wo'rk]", "[profile 'work']",
     "[profiles work]", "[profile\twork] # note", "[default", "[profile work] ; note", "[profile work x]",
     "[profile wo#rk]", "[default ]", "[profile work]]", "[profile\u00a0work]", "[profile wörk]", "[]",
     "[profile '']", "[profile]", "  [default]"],
)  # fmt: skip
CREDENTIALS_HEADINGS = (
    ["[default]", "[work]"],
    ["[a b]", "[profile work]", "[DEFAULT]", "[ work]", "[profile a b]", "[x"],
)
SERVICES_HEADINGS = (["[services local]"], ["[services 'local']", "[services  local]", "[services]", "[serviceslocal]"])
LINES = (
    ["", "# a note", "; a note", "  # a note", "   ", "#[default]"],
    ["  continued", "no setting", "= nothing", "x"],
)
NESTED_LINES = (["", "  ", "  # a note"], ["  no setting", "  a = b = c", "not nested = x"])


def any_configuration(rng: random.Random) -> Configuration:
    """Return some configuration."""
    return _about_one_thing(rng) if rng.random() < 0.5 else _about_anything(rng)


class _Theme(msgspec.Struct, frozen=True):
    """One thing that many places can choose."""

    variables: tuple[str, ...]
    options: tuple[str, ...] = ()
    s3: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


THEMES = [
    _Theme(("AWS_REGION", "AWS_DEFAULT_REGION"), ("region",), (), ("region", "endpoint_url")),
    _Theme(
        ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "S3_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
        ("endpoint_url", "services", "ignore_configured_endpoint_urls"),
        (),
        ("endpoint_url", "region"),
    ),
    _Theme(("AWS_ENDPOINT_URL",), ("endpoint_url",), ("addressing_style",), ("addressing_style", "endpoint_url")),
    _Theme(
        ("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT", "AWS_REGION"),
        ("use_dualstack_endpoint", "use_fips_endpoint"),
        ("use_dualstack_endpoint", "us_east_1_regional_endpoint"),
    ),
    _Theme(("AWS_PROFILE", "AWS_DEFAULT_PROFILE"), ("credential_process",), (), ("profile",)),
    _Theme(("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE"), (), (), ("profile", "sign_requests")),
    _Theme(("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), ("ca_bundle",), (), ("ca_bundle", "verify_tls")),
]


def _about_one_thing(rng: random.Random) -> Configuration:
    """Return a configuration in which many places choose the same thing, each with a value of its own."""
    theme = rng.choice(THEMES)
    variables = {name: _one(rng, VARIABLES[name]) for name in _few(rng, [*theme.variables])}
    if rng.random() < 2 * ODD:
        name = rng.choice(list(ODD_VARIABLES))
        variables[name] = rng.choice(ODD_VARIABLES[name][0])
    if rng.random() < 0.5:
        variables |= {"AWS_ACCESS_KEY_ID": "AKIDVARIABLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    values = _all_settings(rng)
    settings = {name: values[name] for name in _few(rng, [*theme.settings])}

    def profile(keys: float) -> dict[str, Any]:
        values: dict[str, Any] = {name: _one(rng, OPTIONS[name]) for name in _few(rng, [*theme.options])}
        if nested := {name: _one(rng, S3_OPTIONS[name]) for name in _few(rng, [*theme.s3])}:
            values["s3"] = nested
        return values | (_keys(rng) if rng.random() < keys else {})

    headings = [("[default]", 0.4), ("[profile work]", 0.4)]
    services = ("[services local]", {"s3": {"endpoint_url": _one(rng, ENDPOINTS)}})
    config = _text(rng, [*((heading, profile(keys)) for heading, keys in headings), services])
    credentials = None
    if rng.random() < 0.7:
        credentials = _text(rng, [(heading, profile(0.7)) for heading in ("[default]", "[work]")])
    return Configuration(config, credentials, variables, settings, [any_bucket(rng) for _ in range(3)])


def _about_anything(rng: random.Random) -> Configuration:
    variables = _some(rng, VARIABLES, ODD_VARIABLES, rng.randint(0, 4))
    if rng.random() < 0.5:
        variables |= {"AWS_ACCESS_KEY_ID": "AKIDVARIABLE\n", "AWS_SECRET_ACCESS_KEY": "secret"}
    config = credentials = None
    if rng.random() < 0.8:
        config = config_text(rng)
    if rng.random() < 0.6:
        sections = [(_one(rng, CREDENTIALS_HEADINGS), _profile(rng, keys=0.9)) for _ in range(rng.randint(1, 3))]
        credentials = _text(rng, sections)
    buckets = [any_bucket(rng) for _ in range(3)]
    return Configuration(config, credentials, variables, _settings(rng), buckets)


def any_bucket(rng: random.Random) -> str:
    """Return the name of a bucket, or one that is none."""
    if rng.random() < 0.1:
        return rng.choice(BUCKETS[1])
    return rng.choice(BUCKETS[0]) if rng.random() < 0.7 else "".join(rng.choices("ab0.-_A", k=rng.randint(1, 12)))


def config_text(rng: random.Random) -> str:
    """Return the text of a configuration file."""
    sections = [(_one(rng, CONFIG_HEADINGS), _profile(rng, keys=0.3)) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.8:
        values: dict[str, Any] = {
            name: {"endpoint_url": _one(rng, ENDPOINTS)} for name in _few(rng, ["s3", "s3", "ec2"])
        }
        if rng.random() < ODD:
            values["s3"] = rng.choice(["https://host", {"endpoint_url": "https://host", "other": "x"}, {}])
        sections.insert(rng.randint(0, len(sections)), (_one(rng, SERVICES_HEADINGS), values))
    return _text(rng, sections)


def _settings(rng: random.Random) -> dict[str, Any]:
    values = _all_settings(rng)
    found = {name: values[name] for name in rng.sample(list(values), rng.choice([0, 0, 1, 1, 2, 3]))}
    return found | ({"sse_c_key": b"k" * 32} if rng.random() < ODD else {})


def _all_settings(rng: random.Random) -> dict[str, Any]:
    return {
        "endpoint_url": rng.choice(ENDPOINTS[0]),
        "region": rng.choice(REGIONS[0]),
        "profile": _one(rng, PROFILES),
        "addressing_style": rng.choice(["auto", "path", "virtual"]),
        "sign_requests": False,
        "verify_tls": False,
        "ca_bundle": _one(rng, (["ca.pem"], ["/nowhere.pem", ""])),
        "allow_http": True,
    }


def _profile(rng: random.Random, *, keys: float) -> dict[str, Any]:
    """Return the settings of a profile.

    Args:
        keys: how likely it has some.
    """
    values: dict[str, Any] = _some(rng, OPTIONS, ODD_OPTIONS, rng.randint(0, 4))
    if rng.random() < keys:
        values |= _keys(rng)
    if rng.random() < 0.4:
        values["s3"] = _some(rng, S3_OPTIONS, ODD_S3_OPTIONS, rng.randint(1, 3))
    names = rng.sample(list(values), len(values))
    return {name: values[name] for name in names}


def _keys(rng: random.Random) -> dict[str, Any]:
    keys = {"aws_access_key_id": f"AKIDFILE{rng.randint(1, 9)}", "aws_secret_access_key": "secret=of#file;"}
    return keys | {name: _one(rng, KEYS) for name in _few(rng, ["aws_session_token", "aws_security_token"])}


def _some(rng: random.Random, kinds: Kinds, odd: Kinds, count: int) -> dict[str, str]:
    found = {name: _one(rng, kinds[name]) for name in rng.sample(list(kinds), count)}
    if rng.random() < 2 * ODD:
        name = rng.choice(list(odd))
        found[name] = rng.choice(odd[name][0] + odd[name][1])
    return found


def _one(rng: random.Random, values: tuple[list[str], list[str]]) -> str:
    return rng.choice(values[1] if rng.random() < ODD else values[0])


def _few(rng: random.Random, values: list[str]) -> list[str]:
    return rng.sample(values, rng.randint(0, len(values)))


def _text(rng: random.Random, sections: list[tuple[str, dict[str, Any]]]) -> str:
    if rng.random() > ODD:
        sections = list(dict(sections).items())  # a heading that comes twice is an error
    between = rng.choice(["\n", "\n\n", "\n# a note\n"])
    text = between.join(f"{heading}\n{_lines(rng, values)}" for heading, values in sections)
    if rng.random() < ODD:
        text = rng.choice(["# a note\n", "\n", "\ufeff", "stray\n", "stray = 1\n", "# ключ\n"]) + text
    return (text + rng.choice(["", "\n"])).replace("\n", "\r\n" if rng.random() < 0.05 else "\n")


def _lines(rng: random.Random, values: dict[str, Any]) -> str:
    """Write settings in one of many ways."""
    lines: list[str] = []
    for name, value in values.items():
        if rng.random() < 0.1:
            lines.append(_one(rng, LINES))
        equals = rng.choice(["=", " = ", "=  ", " : ", ":", "\t=\t"])
        after = _one(rng, (["", "", "  "], ["\r", " # no note", " ; no note", "\t", "\u00a0"]))
        written = name.upper() if rng.random() < 0.05 else name
        if isinstance(value, str):
            lines.append(f"{written}{equals}{value}{after if value else ''}")
            continue
        lines.append(f"{written}{equals}")
        indent = rng.choice(["  ", "    ", "\t"])
        for key, text in value.items():
            lines.append(indent + key + equals.replace(":", "=") + text + after)
            if rng.random() < 0.1:
                lines.append(_one(rng, NESTED_LINES))
    return "\n".join(lines)
