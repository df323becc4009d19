"""Every known error is provoked, and its explanation says what the message said."""

import logging
import subprocess
import sys

import onnx
import pytest
from known_errors import CASES, linear, twice_initialized

from edgeonnx.errors import ModelError
from edgeonnx.explain import explain, known_errors
from edgeonnx.model import Model

NAMES = [known.explanation.name for known in known_errors()]
# In an environment with an old onnxruntime.
SLOW = {"numpy-2"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """onnxruntime's shape inference leaves a file where it is run."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def provoked(name: str, folder, capfd) -> str:
    """What the case of a name logged, and then raised."""
    raised = ""
    logging.disable(logging.WARNING)
    try:
        CASES[name](folder)
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    finally:
        logging.disable(logging.NOTSET)
    return capfd.readouterr().err + raised


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_the_error_is_provoked_and_explained(name, tmp_path, capfd):
    found = explain(provoked(name, tmp_path, capfd))
    assert found is not None
    assert found.name == name


def test_every_known_error_has_a_case_or_says_that_it_has_none():
    assert len(set(NAMES)) == len(NAMES) >= 25
    reported = {known.explanation.name for known in known_errors() if known.explanation.seen == "reported"}
    assert {known.explanation.seen for known in known_errors()} == {"provoked", "reported"}
    assert set(CASES) | reported | SLOW == set(NAMES)
    assert not set(CASES) & (reported | SLOW)


@pytest.mark.parametrize("known", known_errors(), ids=NAMES)
def test_an_explanation_is_whole(known):
    explanation = known.explanation
    assert explanation.cause and explanation.fix and explanation.source.startswith("https://")
    filled = dict.fromkeys(known.pattern.groupindex, "7")
    assert "{" not in explanation.cause.format(**filled) + explanation.fix.format(**filled)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opset-too-new", "the model imports opset 60 of ai.onnx"),
        ("no-kernel", "ConvTranspose of opset 11"),
        ("extensions-missing", "StringUpper is an operator of onnxruntime-extensions"),
        ("custom-operator", "own of the domain my"),
        ("external-data-short", "the file with the weights is of 5 bytes, and w"),
        ("input-names", "inputs ['x'] were not given; what was given is named ['z']"),
        ("input-dtype", "tensor(double) where the model takes tensor(float)"),
        ("input-dimension", "axis 1 of x is 5 and the model takes 4"),
        ("reshape", "target {1,4}"),
        ("concat", "differ in axis 1: 3 and 4"),
        ("zero-point-shape", "a filter zero point of another length"),
        ("tensor-type-unknown", "the type of p:"),
        ("block-size", "not of 24"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_message_fills_the_explanation(name, said, tmp_path, capfd):
    assert said in str(explain(provoked(name, tmp_path, capfd)))


def test_the_same_fault_found_by_another_tool():
    with pytest.raises(onnx.checker.ValidationError) as error:
        twice_initialized()
    assert explain(str(error.value)).cause.startswith("two nodes or initializers define the same value (w)")


@pytest.mark.parametrize("message", ["", "Segmentation fault", "ValueError: the scale is an issue of its own"])
def test_what_is_not_known_is_not_explained(message):
    assert explain(message) is None


def test_our_own_error_carries_cause_and_fix(tmp_path):
    path = tmp_path / "new.onnx"
    onnx.save(linear(ir_version=40), path)
    with pytest.raises(ModelError) as error:
        Model.load(path).session()
    assert "Unsupported model IR version: 40" in str(error.value)
    assert "install a newer onnxruntime, or set model.ir_version = 14" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_numpy_2_with_an_old_onnxruntime(tmp_path):
    """An environment with a release built for numpy 1."""
    environment = tmp_path / "old"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "onnxruntime==1.18.0", "numpy>=2"]
    subprocess.run(pip, check=True)
    ran = subprocess.run([python, "-c", "import onnxruntime"], check=False, capture_output=True, text=True)
    assert ran.returncode != 0
    assert explain(ran.stderr).name == "numpy-2"
