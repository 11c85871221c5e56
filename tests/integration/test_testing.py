"""bulkhaul.testing in another project's pytest: it passes, it finds what is broken, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines import eventually
from tests.patience import PATIENCE_S

EXAMPLE = Path(__file__).parents[1] / "example_project"


@dataclass(slots=True)
class Project:
    """A project with a pytest of its own, which makes its temporary files below ``temporary``."""

    folder: Path
    temporary: Path

    @contextmanager
    def started(self, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Run its tests; nothing of the settings of this run reaches them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", ".", *options],
            cwd=self.folder,
            env=kept | {"TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *options: str, **variables: str) -> tuple[int, str]:
        """Return the exit status and the output of a whole run."""
        with self.started(*options, **variables) as process:
            said, _ = process.communicate(timeout=3 * PATIENCE_S)
        return process.returncode, said

    def assert_nothing_left(self) -> None:
        """Neither a process nor a file but pytest's own, or soon none."""
        eventually(lambda: not self.processes(), "its processes are gone")
        eventually(lambda: self._files() == [], f"its files are gone: {self._files()}")

    def processes(self) -> list[bytes]:
        """Return the command lines of all processes that make their temporary files where this project does."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                if f"TMPDIR={self.temporary}\0".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes())
        return found

    def _files(self) -> list[str]:
        return [name for name in os.listdir(self.temporary) if not name.startswith("pytest-of-")]


@pytest.fixture
def example(tmp_path: Path) -> Project:
    """A copy of the example, which a test may break."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return Project(shutil.copytree(EXAMPLE, tmp_path / "example_project"), temporary)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that names the plugin and has no tests yet."""
    folder, temporary = tmp_path / "project", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    (folder / "conftest.py").write_text('pytest_plugins = ["bulkhaul.testing"]\n')
    return Project(folder, temporary)


def test_the_example_passes(example: Project) -> None:
    """With warnings as errors, its benchmark is measured, and nothing is left."""
    status, said = example.run("-v")
    assert status == 0, said
    assert re.search(r"^test_loading +\d", said, re.MULTILINE)
    assert "8 passed" in said
    example.assert_nothing_left()


@pytest.mark.parametrize(
    ("good", "broken", "failing"),
    [
        ("if not left or not (", "if True or not (", {"busy", "cut", "corrupt", "stays"}),
        (" or isinstance(error, IntegrityError)", "", {"corrupt"}),
    ],
    ids=["no retry", "not of integrity"],
)
def test_broken_retries_are_found(example: Project, good: str, broken: str, failing: set[str]) -> None:
    """The tests with faults fail, and they alone, where the project does not try again what it should."""
    source = example.folder / "shelf.py"
    text = source.read_text()
    assert good in text
    source.write_text(text.replace(good, broken))
    status, said = example.run("--benchmark-disable")
    assert status == 1
    failed = re.findall(r"^FAILED .*::test_(?:trouble_passes\[(\w+)\]|trouble_(\w+))", said, re.MULTILINE)
    assert {one or other for one, other in failed} == failing
    assert len(re.findall("^FAILED", said, re.MULTILINE)) == len(failing)
    example.assert_nothing_left()


def test_a_killed_run_leaves_nothing(project: Project) -> None:
    """SIGKILL of pytest takes the server, the engines and their files along."""
    (project.folder / "test_it.py").write_text(
        "import time\n"
        "def test_it(bulkhaul_store, bulkhaul_fault_store):\n"
        "    bulkhaul_store.put_bytes('key', b'body')\n"
        "    assert bulkhaul_fault_store.get_bytes('key') == b'body'\n"
        "    print('stored', flush=True)\n"
        "    time.sleep(3600)\n"
    )
    with project.started("-s") as process:
        assert process.stdout is not None
        assert any("stored" in line for line in process.stdout), "it has ended"
        assert any(b"-logdir" in line for line in project.processes())
        process.send_signal(signal.SIGKILL)
    project.assert_nothing_left()


def test_two_runs_at_a_time_have_a_server_each(project: Project) -> None:
    """As the workers of pytest-xdist have."""
    (project.folder / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_it(bulkhaul_store, number):\n"
        "    assert list(bulkhaul_store.list()) == []\n"
        "    bulkhaul_store.put_bytes('key', b'%d' % number)\n"
        "    assert bulkhaul_store.get_bytes('key') == b'%d' % number\n"
    )
    status, said = project.run("-n", "2")
    assert status == 0, said
    assert "4 passed" in said
    project.assert_nothing_left()


def test_a_bucket_is_removed_whatever_is_in_it(project: Project) -> None:
    """Objects, a pending upload, or nothing because the test has removed it; one server lasts for many of them."""
    (project.folder / "test_it.py").write_text(
        "import pytest\n"
        "def test_full(bulkhaul_engine, bulkhaul_bucket):\n"
        "    for name in ('a', 'b/c', 'b*'):\n"
        "        bulkhaul_engine.put_bytes(f's3://{bulkhaul_bucket}/{name}', b'body')\n"
        "def test_upload(bulkhaul_server, bulkhaul_bucket):\n"
        "    import boto3\n"
        "    client = boto3.client('s3', endpoint_url=bulkhaul_server.endpoint_url,\n"
        "        aws_access_key_id=bulkhaul_server.access_key, aws_secret_access_key=bulkhaul_server.secret_key,\n"
        "        region_name=bulkhaul_server.region)\n"
        "    client.create_multipart_upload(Bucket=bulkhaul_bucket, Key='large')\n"
        "def test_removed(bulkhaul_engine, bulkhaul_bucket):\n"
        "    bulkhaul_engine.delete_bucket(bulkhaul_bucket)\n"
        "@pytest.mark.parametrize('number', range(40))\n"
        "def test_many(bulkhaul_engine, bulkhaul_bucket, number):\n"
        "    bulkhaul_engine.put_bytes(f's3://{bulkhaul_bucket}/key', b'body')\n"
        "def test_none_is_left(bulkhaul_engine, bulkhaul_bucket):\n"
        "    assert [one.name for one in bulkhaul_engine.buckets()] == [bulkhaul_bucket]\n"
    )
    status, said = project.run()
    assert status == 0, said
    project.assert_nothing_left()


def test_the_settings_of_who_runs_it_do_not_count(project: Project) -> None:
    """Neither a profile that does not exist nor a proxy; and what makes a client of its own asks this server, too."""
    (project.folder / "test_it.py").write_text(
        "import os\n"
        "from bulkhaul import Engine\n"
        "def test_it(bulkhaul_engine, bulkhaul_bucket):\n"
        "    bulkhaul_engine.put_bytes(f's3://{bulkhaul_bucket}/key', b'body')\n"
        "    with Engine() as another:\n"
        "        assert another.get_bytes(f's3://{bulkhaul_bucket}/key') == b'body'\n"
        "    assert 'AWS_PROFILE' not in os.environ\n"
    )
    proxy = "http://127.0.0.1:1"
    status, said = project.run(AWS_PROFILE="mine", AWS_REGION="eu-north-1", HTTP_PROXY=proxy, http_proxy=proxy)
    assert status == 0, said


def test_nothing_is_imported_before_it_is_used(project: Project) -> None:
    """A run that asks for no fixture does not load the engine; one that asks for a store in memory no server."""
    (project.folder / "test_it.py").write_text(
        "import sys\n"
        "def ours():\n"
        "    return {name for name in sys.modules if name.startswith('bulkhaul')}\n"
        "def test_nothing():\n"
        "    assert ours() == {'bulkhaul', 'bulkhaul.testing', 'bulkhaul.testing.fixtures'}\n"
        "def test_memory(bulkhaul_memory_store):\n"
        "    bulkhaul_memory_store.put_bytes('key', b'body')\n"
        "    assert 'bulkhaul.embedded' not in ours()\n"
    )
    status, said = project.run()
    assert status == 0, said


def test_a_project_that_does_not_name_it_is_left_alone(project: Project) -> None:
    """It is installed, and still pytest loads none of it."""
    (project.folder / "conftest.py").unlink()
    (project.folder / "test_it.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    assert not [name for name in sys.modules if name.startswith('bulkhaul')]\n"
    )
    status, said = project.run()
    assert status == 0, said


def test_without_seaweedfs_it_says_what_to_install(project: Project) -> None:
    """A test that needs the server ends with an error; it is not passed over."""
    (project.folder / "test_it.py").write_text(
        "import sys, pytest\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def nowhere():\n"
        "    with pytest.MonkeyPatch.context() as patch:\n"
        "        patch.setattr(sys, 'executable', '/nowhere/python')\n"
        "        patch.setenv('PATH', '/nowhere')\n"
        "        yield\n"
        "def test_it(bulkhaul_server):\n"
        "    pass\n"
    )
    status, said = project.run()
    assert status == 1
    assert "pip install 'bulkhaul[demo]'" in said
