"""What is packed: the wheel's manual pages and completions, and the steps of the Dockerfile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest

from bulkhaul.cli.completion import SCRIPTS
from bulkhaul.cli.group import cli
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_S)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def shared(wheel: Path) -> dict[str, str]:
    """What a wheel puts below ``share/``, by path."""
    with zipfile.ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if ".data/data/share/" in name]
        return {name.partition(".data/data/share/")[2]: packed.read(name).decode() for name in names}


def test_what_the_code_reads_is_packed(wheel: Path) -> None:
    """The templates and style sheets beside the modules are in the wheel, too."""
    source = ROOT / "src"
    read = {
        str(path.relative_to(source))
        for path in (source / "bulkhaul").rglob("*.*")
        if path.suffix in (".jinja", ".css")
    }
    assert len(read) >= 2
    with zipfile.ZipFile(wheel) as packed:
        assert read <= set(packed.namelist())


def test_every_command_has_a_manual_page(shared: dict[str, str]) -> None:
    """Commands of commands too, each with all of its options."""
    for name in cli.list_commands(click.Context(cli)):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        pages = {f"bulkhaul-{name}": command}
        if isinstance(command, click.Group):
            pages |= {f"bulkhaul-{name}-{one}": below for one, below in command.commands.items()}
        for title, one in pages.items():
            text = shared[f"man/man1/{title}.1"].replace("\\-", "-")
            assert text.startswith(f'.TH "{title.upper()}" 1 ')
            options = [option for option in one.params if isinstance(option, click.Option) and not option.hidden]
            assert all(option.opts[0] in text for option in options)


def test_no_line_of_text_is_taken_for_a_request(shared: dict[str, str]) -> None:
    """Of groff: lines that begin with a dot are those that we mean; and it reads bytes, so there is only ASCII."""
    known = {".TH", ".SH", ".PP", ".TP", ".B", ".BR", ".nf", ".fi"}
    for name, text in shared.items():
        if name.startswith("man/"):
            assert text.isascii()
            assert {line.split()[0] for line in text.splitlines() if line[:1] in (".", "'")} <= known


def test_the_completions_are_those_of_the_command(shared: dict[str, str]) -> None:
    """At the places where the shells look."""
    assert shared["bash-completion/completions/bulkhaul"] == SCRIPTS["bash"]
    assert shared["zsh/site-functions/_bulkhaul"] == SCRIPTS["zsh"]
    assert shared["fish/vendor_completions.d/bulkhaul.fish"] == SCRIPTS["fish"]


STEPS = re.findall(r"^([A-Z]+) (.+(?:\n .+)*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_image_copies_what_the_wheel_is_built_from() -> None:
    """Every source of a COPY exists, and the build has what pyproject.toml names."""
    copied = {word for step, text in STEPS if step == "COPY" for word in text.split()[:-1]}
    assert all((ROOT / one).exists() for one in copied)
    assert {"pyproject.toml", "hatch_build.py", PROJECT["readme"], *PROJECT["license-files"], "src", "docs"} == copied


def test_the_image_runs_the_command_as_a_plain_user() -> None:
    """On a Python that the package supports, installed from the wheels of the first stage alone."""
    bases = {text.split()[0] for step, text in STEPS if step == "FROM"}
    (version,) = {re.sub(r"python:([\d.]+)-slim", r"\1", base) for base in bases}
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    last = STEPS[max(at for at, (step, _) in enumerate(STEPS) if step == "FROM") :]
    steps = dict(last)
    assert steps["USER"] not in ("root", "0")
    assert json.loads(steps["ENTRYPOINT"])[0] in PROJECT["scripts"]
    installs = [text for step, text in last if step == "RUN" and "pip install" in text]
    assert ["--no-index" in text and "from=build" in text for text in installs] == [True]
    assert [step for step, _ in last].index("USER") > [step for step, _ in last].index("RUN")
