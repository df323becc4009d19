"""What is public, and what the project says of itself."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

import edgeonnx
from edgeonnx.cli import _VERBS
from tests.house.tree import ROOT, files

PUBLIC = [
    "BenchResult",
    "BudgetError",
    "ConvertResult",
    "Diagnosis",
    "EdgeonnxError",
    "Finding",
    "Inspection",
    "KeyPair",
    "Latency",
    "Model",
    "OptimizeResult",
    "PackageResult",
    "Paired",
    "PipelineCheck",
    "PipelineSpec",
    "PipelineView",
    "PruneResult",
    "QuantizeResult",
    "Recipe",
    "Signature",
    "Target",
    "TensorSpec",
    "TuneReport",
    "bench",
    "check_pipeline",
    "convert",
    "custom_ops",
    "doctor",
    "inspect",
    "keygen",
    "list_recipes",
    "list_targets",
    "load",
    "load_pipeline",
    "load_recipe",
    "load_target",
    "optimize",
    "package",
    "prune",
    "quantize",
    "show_pipeline",
    "sign",
    "tune",
    "verify",
]
# In parts, so that this file does not hold what it looks for.
FORBIDDEN = {
    "pypi" + ".org": "registries move and are mirrored; a package's name is enough",
    "files.python" + "hosted": "as above",
    "registry." + "npmjs": "as above",
    "deb." + "debian": "as above",
    "/work" + "/": "a path of one machine",
    "/tmp" + "/w": "a path of one machine",
    "work/" + "shared": "a path of one machine",
}


def test_the_public_names_are_these():
    """Each is a promise to users: adding one is a decision, and taking one away breaks somebody's program."""
    assert edgeonnx.__all__ == PUBLIC
    assert [name for name in PUBLIC if not hasattr(edgeonnx, name)] == []


def test_there_is_no_other_public_name():
    """What can be imported without an underscore is taken for public; rooms of the house are the exception."""
    rooms = {path.stem for path in (ROOT / "sdk" / "edgeonnx").iterdir()}
    ours = {name for name, value in vars(edgeonnx).items() if "edgeonnx" in str(getattr(value, "__module__", value))}
    assert {name for name in ours if not name.startswith("_")} - set(PUBLIC) - rooms == set()


def test_help_names_every_verb():
    """The list is written out, so that `edgeonnx --help` need not import them."""
    written = {path.stem for path in (ROOT / "sdk/edgeonnx/cli").glob("[a-z]*.py")}
    assert set(_VERBS) == written
    assert max(map(len, _VERBS.values())) < 60  # a line of a terminal


def test_names_are_imported_from_where_type_checkers_look():
    """The lines under TYPE_CHECKING are for them alone, so that nothing else notices if the two part."""
    tree = ast.parse((ROOT / "sdk/edgeonnx/__init__.py").read_text("utf-8"))
    lines = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "edgeonnx." in str(node.module)]
    assert {alias.name: node.module for node in lines for alias in node.names} == edgeonnx._HOMES
    assert sorted(edgeonnx._HOMES) == sorted(PUBLIC)


@pytest.mark.parametrize(
    "code",
    [
        "import edgeonnx, edgeonnx.quantize.recipe; assert callable(edgeonnx.quantize)",
        "import edgeonnx; edgeonnx.convert; import edgeonnx.convert.axes; assert callable(edgeonnx.convert)",
        "from edgeonnx import *; assert callable(prune)",
        "import edgeonnx; edgeonnx.errors.ModelError",
        "import edgeonnx, sys; assert not {'onnx', 'numpy', 'onnxruntime'} & set(sys.modules)",
        "import edgeonnx.cli, sys; assert not {'onnx', 'numpy', 'onnxruntime', 'rich'} & set(sys.modules)",
    ],
)
def test_names_come_when_they_are_asked_for(code):
    """A function that has a package's name is not hidden by it; what is not used is not imported."""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("folder", ["targets", "calibration"])
def test_data_folders_hold_no_code(folder):
    """They are what users add most, and adding a board or a recipe should not need a programmer."""
    inside = [name for name in files() if name.startswith(f"{folder}/")]
    assert inside
    assert [name for name in inside if not name.endswith(".toml")] == []


@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_file_names_a_machine_or_a_registry(word):
    """What is written here must hold on every machine and behind every mirror."""
    found = [name for name in files() if word.encode() in (ROOT / name).read_bytes()]
    assert found == [], FORBIDDEN[word]


def test_the_changelog_knows_this_version():
    """Who upgrades wants to know what changed, and the version's entry is where it stands."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    entries = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    texts = {entry.split()[0]: entry.partition("\n")[2].strip() for entry in entries}
    assert texts.get(version), f"CHANGELOG.md: expected an entry '## {version}'"
