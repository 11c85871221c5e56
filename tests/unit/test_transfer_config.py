"""What a profile says of transfers below ``s3 =``, in the syntax of the AWS CLI, and what goes before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkhaul.cli.options import make_settings
from bulkhaul.errors import UsageError
from bulkhaul.model.settings import Settings
from bulkhaul.policy.transfer_config import transfer_settings

CONFIG = """[default]
s3 =
  max_concurrent_requests = 20
  max_queue_size = 10000
  multipart_threshold = 32MB
  multipart_chunksize = 16MB
  max_bandwidth = 50MB/s
[profile other]
region = eu-west-1
s3 =
  max_concurrent_requests = 3
[profile wrong]
s3 =
  multipart_chunksize = large
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, and no profile named by the environment."""
    path = tmp_path / "config"
    path.write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [("8388608", 8388608), ("8MB", 8 << 20), ("8mb", 8 << 20), ("8MiB", 8 << 20), ("1GB", 1 << 30), ("1KB", 5 << 20)],
)
def test_sizes(value: str, size_bytes: int) -> None:
    """Units are of 1,024, whichever way they are written; a part is never shorter than services take."""
    assert transfer_settings({"multipart_chunksize": value}, "there") == {"part_size_bytes": size_bytes}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("multipart_chunksize", "large"),
        ("multipart_threshold", "0"),
        ("multipart_threshold", "-1"),
        ("multipart_threshold", "8.5MB"),
        ("max_concurrent_requests", "10MB"),
        ("max_concurrent_requests", ""),
        ("max_bandwidth", "50MB"),
        ("max_bandwidth", "50Mb/s"),
        ("max_bandwidth", "0"),
    ],
)
def test_nonsense_is_named_by_place_and_key(key: str, value: str) -> None:
    """What the AWS CLI refuses is refused, and the message leads to it."""
    with pytest.raises(UsageError, match=rf"{key} = .* mend it in /there, profile p"):
        transfer_settings({key: value}, "/there, profile p")


@pytest.mark.usefixtures("config")
def test_commands_obey_the_profile_below_options() -> None:
    """Each profile's own keys are obeyed; an option, or a profile that says nothing, goes before them."""
    found = make_settings({})
    assert (found.concurrency, found.part_size_bytes) == (20, 16 << 20)
    assert (found.multipart_threshold_bytes, found.bandwidth_bytes_per_s) == (32 << 20, 50 << 20)
    assert make_settings({"concurrency": 7, "part_size_bytes": None}).concurrency == 7
    other = make_settings({"profile": "other"})
    assert (other.concurrency, other.part_size_bytes) == (3, None)


def test_a_wrong_value_names_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile of the environment counts, and its mistake is told with the file's path."""
    monkeypatch.setenv("AWS_PROFILE", "wrong")
    with pytest.raises(UsageError, match=rf"multipart_chunksize = 'large'.*{config}, profile wrong"):
        make_settings({})


def test_attempts_of_a_profile(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries in all, so retries are one less; an option and AWS_MAX_ATTEMPTS go before, and nonsense is named."""
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    config.write_text("[profile thrice]\nmax_attempts = 3\n[profile never]\nmax_attempts = 0\n")
    assert make_settings({"profile": "thrice"}).retries == 2
    assert make_settings({"profile": "thrice", "retries": 7}).retries == 7
    assert make_settings({"profile": "other"}).retries is None
    with pytest.raises(
        UsageError, match=rf"max_attempts = '0' is no number from 1; mend it in {config}, profile never"
    ):
        make_settings({"profile": "never"})
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    assert make_settings({"profile": "thrice"}).retries is None  # the engine reads the variable


@pytest.mark.usefixtures("config")
def test_programs_do_not_obey_it() -> None:
    """The keys are of the AWS CLI: no SDK obeys them, nor does an engine."""
    assert Settings().concurrency is None


@pytest.mark.parametrize(
    ("key", "value", "field", "number"),
    [
        ("max_concurrent_requests", "5000", "concurrency", 4096),
        ("multipart_chunksize", "6GB", "part_size_bytes", 5 << 30),
        ("multipart_threshold", "6GB", "multipart_threshold_bytes", 5 << 30),
        ("multipart_threshold", "8 MB", "multipart_threshold_bytes", 8 << 20),
        ("max_bandwidth", "99999999999999TB/s", "bandwidth_bytes_per_s", 1 << 62),
    ],
)
def test_values_beyond_ours(key: str, value: str, field: str, number: int) -> None:
    """What the AWS CLI takes ends no command: it is made as much as can be."""
    found = transfer_settings({key: value}, "there")
    assert found == {field: number}
    Settings(**found)  # type: ignore[arg-type] # each has its own type


def test_a_rate_that_is_too_low() -> None:
    """A rate below the least is refused, for none may be exceeded; the message names key and place."""
    with pytest.raises(UsageError, match=r"max_bandwidth = '10KB/s' is less than 64KB/s.*mend it in there"):
        transfer_settings({"max_bandwidth": "10KB/s"}, "there")
