"""Structs are decoded by several threads at once: msgspec must have learnt each of them before.

It is no matter of luck with the thread switches of these tests: without care each of their processes ended by SIGSEGV.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bulkhaul

SOURCE = Path(bulkhaul.__file__).parent

RACE = """
import sys, threading
import msgspec
from bulkhaul.jobs.folder.lines import decode
from bulkhaul.model.structs import learnt

sys.setswitchinterval(1e-6)
for n in range(10):
    inner = [msgspec.defstruct(f"I{n}_{i}", [(f"a{j}", "int | None", None) for j in range(20)]) for i in range(20)]
    kind = msgspec.defstruct(f"K{n}", [(f"f{i}", one) for i, one in enumerate(inner)])
    data = msgspec.json.encode({f"f{i}": {f"a{j}": j for j in range(20)} for i in range(20)})
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        WORK

    BEFORE
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.mark.parametrize(
    ("before", "work"),
    [("pass", 'decode(data, kind, "file")'), ("learnt(kind)", "msgspec.json.decode(data, type=kind)")],
    ids=["a file of a job", "learnt before"],
)
def test_threads_that_meet_a_struct_at_once(before: str, work: str) -> None:
    """All of them decode it."""
    program = RACE.replace("WORK", work).replace("BEFORE", before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


GUARDED = {
    ("jobs/folder/lines.py", "kind"),
    ("engine/messages/channel.py", "incoming"),
    ("engine/messages/request.py", "get_args(base)[0]"),
}
"""Decoders that are made while a lock is held."""

ALONE = {("engine/worker/forkserver.py", "ToForkserver")}
"""Made by a process of one thread."""

NAMED = {
    ("engine/worker/lane_answers.py", "kind"),  # a list of UploadedPart, or of Doomed
    ("engine/worker/sdk_answers.py", "kind"),
    ("jobs/certificate.py", "kind"),  # a line of a certificate
    ("jobs/folder/plan_rows.py", "Row"),  # whose decoder the module makes
    ("model/settings.py", "kind"),  # of a field of Settings
    ("model/structs.py", "kind"),
}
"""What other functions of the module name, or what it learns otherwise."""

PLAIN = {"str", "dict[str, object]", "list[tuple[bytes, str]]"}
"""No Structs."""


def decoded_in_functions(tree: ast.Module) -> Iterator[str]:
    """Yield the types that functions of a module have msgspec decode or convert to."""
    functions = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
    for call in (one for function in functions for one in ast.walk(function) if isinstance(one, ast.Call)):
        name = ast.unparse(call.func)
        if name.startswith("msgspec.") and name.endswith((".Decoder", ".convert")):
            yield ast.unparse(call.args[-1])
        if name.startswith("msgspec.") and name.endswith(".decode"):
            yield from (ast.unparse(one.value) for one in call.keywords if one.arg == "type")


def test_every_struct_is_learnt_when_its_module_is_imported() -> None:
    """No function is the first one that has msgspec look at a Struct, unless it holds a lock."""
    trees = {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}
    learnt = {
        ast.unparse(kind)
        for tree in trees.values()
        for statement in tree.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        for kind in statement.value.args
        if ast.unparse(statement.value.func) == "learnt"
    }
    found = {(path, kind) for path, tree in trees.items() for kind in decoded_in_functions(tree)}
    assert found >= GUARDED
    late = {(path, kind) for path, kind in found - GUARDED - ALONE if kind not in learnt | PLAIN}
    assert late == NAMED
    assert {"UploadedPart", "Doomed", "Settings", "CertificateHead", "CertificateRow", "CertificateEnd"} <= learnt
