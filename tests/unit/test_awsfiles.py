"""The two AWS files are read exactly as the SDK reads them, whatever their texts are."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import botocore.configloader
import botocore.session
import pytest
from botocore.exceptions import ConfigNotFound, ConfigParseError
from hypothesis import given, note, settings
from hypothesis import strategies as st

from bulkhaul.policy.awsfiles import Unsure, read_files
from tests.unit.awsconfigs import any_configuration
from tests.unit.awsmachine import Machine, new_machine


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine of nobody's."""
    with new_machine() as made:
        yield made


def require_same_files(machine: Machine, config: str | None, credentials: str | None) -> None:
    """Compare what both sides read in the files; a text that one of them refuses is refused by both."""
    with machine.set_up(config, credentials, {}):
        try:
            session = botocore.session.Session()
            profiles, services = session.full_config["profiles"], session.full_config.get("services", {})
            configured = botocore.configloader.multi_file_load_config(os.environ["AWS_CONFIG_FILE"])["profiles"]
            stored = botocore.configloader.raw_config_parse(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
        except ConfigParseError:
            with pytest.raises(Unsure):
                read_files(machine.text_of("config"), machine.text_of("credentials"))
            return
        except ConfigNotFound:
            stored = {}
        files = read_files(machine.text_of("config"), machine.text_of("credentials"))
        assert (files.profiles, files.services) == (profiles, services)
        assert (files.configured, files.credentials) == (configured, stored)


@settings(max_examples=300)
@given(rng=st.randoms(use_true_random=True))
def test_made_up_files(machine: Machine, rng: random.Random) -> None:
    """Each heading, setting and nested section is read as the SDK reads it."""
    made = any_configuration(rng)
    note(repr(made))
    require_same_files(machine, made.config, made.credentials)


LINES = st.sampled_from([
    "[default]", "[profile a]", "[services a]", "[a]", "[profile 'a", "[profile a#b]", "[DEFAULT]", "region = x",
    "s3 =", "  a = b", "\ta=b=c", "", " ", "#", "# a = b", "  ; c", "a", "A=1", "a:b", "= x", "[", "]", "b = [c]",
    "\x0ca = b", "\u2028a = b", "c = d\u2028e = f", "s3 = \x1c a = b", "é = ü", "%(a)s = %(b)s", "rem x", "a = \\",
    "\ufeffa = b",
])  # fmt: skip


@settings(max_examples=400)
@given(
    config=st.lists(LINES, max_size=8).map("\n".join) | st.text("[]=: \n\t#;profileab'\"\\%\r", max_size=40),
    credentials=st.none() | st.lists(LINES, max_size=5).map("\n".join),
)
def test_any_text(machine: Machine, config: str, credentials: str | None) -> None:
    """Any text at all is read as the SDK reads it, or refused as it refuses it."""
    require_same_files(machine, config, credentials)
