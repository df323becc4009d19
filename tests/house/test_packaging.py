"""What is shipped: the wheel, the source archive, and the runtime's own wheel, built and looked into."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgeonnx import data
from tests.house.tree import PACKAGE, ROOT, files

RUNTIME = PACKAGE / "runtime"
KINDS = ("targets", "calibration")


def build(source: Path, kind: str, folder: Path) -> Path:
    """A distribution of the project in `source`; `kind` is `wheel` or `sdist`."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    ran = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (made,) = folder.iterdir()
    return made


def contents(wheel: Path) -> set[str]:
    """Files of a wheel, without what describes the distribution."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


def test_the_wheel_is_the_package_and_its_data(wheel):
    """A file that is missing breaks an installation that no checkout shows; one too many is shipped for ever."""
    code = {f"edgeonnx/{name.removeprefix('sdk/edgeonnx/')}" for name in files() if name.startswith("sdk/edgeonnx/")}
    shipped = {f"edgeonnx/_data/{name}" for name in files() if name.startswith(("targets/", "calibration/"))}
    assert contents(wheel) == (code | shipped) - {"edgeonnx/runtime/pyproject.toml"}


def test_an_installed_wheel_finds_its_data(wheel, tmp_path):
    """The data lies elsewhere than in a checkout; both places are looked into, and only one is tested by the rest."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import edgeonnx\n"
        "from edgeonnx import data\n"
        "print(*(data.folder(kind) for kind in ('targets', 'calibration')))\n"
        "print(*(t.name for t in edgeonnx.list_targets()), *(r.name for r in edgeonnx.list_recipes()))\n"
    )
    command = [sys.executable, "-I", "-c", program, str(tmp_path)]
    found, names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found.split() == [str(tmp_path / "edgeonnx" / "_data" / kind) for kind in KINDS]
    assert names.split() == [name for kind in KINDS for name in data.names(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkout_finds_its_data(kind):
    """An editable install has no copy of the data, so that a profile can be edited where it stands."""
    assert data.folder(kind) == ROOT / kind


def test_an_installation_without_its_data_says_so(tmp_path):
    """Not "no such target": the user's spelling is not what is wrong."""
    with pytest.raises(FileNotFoundError, match="reinstall"):
        data.folder("targets", installed=tmp_path, repository=tmp_path)


def test_the_source_archive_holds_what_is_built_from(sdist, wheel, tmp_path):
    """Whatever lies about in a working tree is not to be published; and what is left must be enough to build."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert {path.name for path in source.iterdir()} == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "calibration",
        "docs",
        "pyproject.toml",
        "sdk",
        "targets",
    }
    assert contents(build(source, "wheel", tmp_path / "rebuilt")) == contents(wheel)


def test_the_runtimes_wheel_is_the_runtime_alone(tmp_path):
    """Devices install it where there is no SDK; both distributions must be able to lie side by side."""
    made = build(RUNTIME, "wheel", tmp_path)
    modules = {f"edgeonnx_runtime/{path.name}" for path in RUNTIME.glob("*.py")}
    assert contents(made) == modules | {"edgeonnx_runtime/py.typed"}
