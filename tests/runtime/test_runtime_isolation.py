"""The runtime needs numpy, onnxruntime and the standard library alone, and few modules of that."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy
import onnxruntime
import pytest

import edgeonnx.runtime
from edgeonnx.runtime._bundle import runtime_files

FOLDER = Path(edgeonnx.runtime.__file__).parent
SITE = sorted({str(Path(module.__file__).parent.parent) for module in (numpy, onnxruntime)})
REFUSED = ["edgeonnx", "onnx", "onnx_ir", "click", "pydantic", "rich", "PIL", "pytest"]

# Runs first in every process below: whatever imports the SDK or what it needs fails.
BLOCKER = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {REFUSED!r}:
            raise ImportError(f"{{name}} is not on a device")
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def device(tmp_path_factory) -> Path:
    """A folder with the runtime as `edgeonnx_runtime`, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("device")
    package = folder / "edgeonnx_runtime"
    package.mkdir()
    for name, data in runtime_files().items():
        (package / name).write_bytes(data)
    return folder


def isolated(code: str, paths: list[str]):
    """Run code without site-packages (-S), the environment and the working folder (-I), and with `paths`."""
    start = f"import sys\nsys.path[:0] = {paths!r}\n{BLOCKER}\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", start + code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_blocker_blocks(device):
    for name in REFUSED:
        assert f"{name} is not on a device" in isolated(f"import {name}", [str(device), *SITE]).stderr


@pytest.mark.parametrize("arguments", [["info"], ["selftest"], ["bench", "--runs", "3"], ["run", "PICTURE"]])
def test_every_verb_runs_without_the_sdk(device, fashion, picture, arguments):
    arguments = [str(fashion), *(str(picture) if argument == "PICTURE" else argument for argument in arguments)]
    code = f"from edgeonnx_runtime.__main__ import main; sys.exit(main({arguments!r}))"
    done = isolated(code, [str(device), *SITE])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_archive_brings_its_own_runtime(fashion):
    code = "import edgeonnx_runtime; print(edgeonnx_runtime.load(sys.path[0])); print(edgeonnx_runtime.__file__)"
    done = isolated(code, [str(fashion), *SITE])
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "<edgeonnx_runtime.Model test 1 for desktop>",
        str(fashion / "edgeonnx_runtime" / "__init__.py"),
    ]


# What locks and queues are made of; together they take less than a millisecond.
CHEAP = {"threading", "queue", "_queue", "heapq", "_heapq", "array"}


def test_import_brings_nothing_slow_that_numpy_and_onnxruntime_did_not(device):
    """json, hashlib, argparse and the like wait until they are needed."""
    code = """
import numpy, onnxruntime
before = set(sys.modules)
import edgeonnx_runtime
edgeonnx_runtime.Model, edgeonnx_runtime.Classification
print("\\n".join(set(sys.modules) - before))
"""
    done = isolated(code, [str(device), *SITE])
    assert done.stderr == ""
    assert "edgeonnx_runtime._model" in done.stdout.split()
    assert {name for name in done.stdout.split() if not name.startswith("edgeonnx_runtime")} <= CHEAP


def test_load_brings_what_it_needs_and_no_more(device, fashion):
    """zipfile alone would take as long as opening the bundle does."""
    code = f"import edgeonnx_runtime; edgeonnx_runtime.load({str(fashion)!r}); print(*sys.modules)"
    done = isolated(code, [str(device), *SITE])
    assert done.stderr == ""
    brought = set(done.stdout.split()) - numpys()
    assert not {"zipfile", "shutil", "mmap", "subprocess", "onnxruntime_extensions"} & brought
    assert "edgeonnx_runtime._custom_ops" not in brought


def numpys() -> set[str]:
    """What numpy and onnxruntime import themselves."""
    return set(isolated("import numpy, onnxruntime; print(*sys.modules)", SITE).stdout.split())


def test_the_error_tree_costs_no_numpy(device):
    done = isolated("import edgeonnx_runtime; print('numpy' in sys.modules)", [str(device), *SITE])
    assert done.stdout == "False\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_modules_are_small_and_import_little(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 320
    allowed = set(sys.stdlib_module_names) | {"numpy", "onnxruntime"}
    if path.name == "_extensions.py":  # imported where a bundle needs it
        allowed |= {"onnxruntime_extensions"}
    # Python 3.9's grammar; what its library lacks shows only there.
    for node in ast.walk(ast.parse(source, feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] in allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1


def test_onnxruntime_notes_nothing_down_for_its_maker(fashion, tmp_path):
    """Its telemetry leaves a number of the machine and what it is to send."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {**kept, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, fashion, "selftest"], env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.rglob("*")) == []
