"""Lowered models in a real old onnxruntime, in the environment that `make old` builds: they load, and give the same."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeonnx.model import Model
from edgeonnx.optimize.passes.lower_opset import lower_opset
from edgeonnx.targets.onnxruntime import caps
from tests.passes.test_lower_opset import FORMS, SHAPES
from tests.unit.models import build, noise, run
from tests.zoo.zoo import CASES, QUANTIZED

pytestmark = pytest.mark.slow

PYTHON = Path(__file__).parents[2] / ".venv-old" / "bin" / "python"
# What it can't say of a model it says on the model's own line, so that one process serves for all.
PROGRAM = """
import sys
import numpy as np, onnxruntime as ort
print(ort.__version__)
ort.set_default_logger_severity(4)
for path in sys.argv[1:]:
    try:
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        with np.load(path + ".feeds.npz") as feeds:
            outputs = session.run(None, {name: feeds[name] for name in feeds.files})
        np.savez(path + ".outputs.npz", *outputs)
        print("ran")
    except Exception as error:
        print(" ".join(str(error).split()))
"""


@pytest.fixture(scope="module")
def python():
    """An interpreter with onnxruntime 1.16; skips where there is none, unless it is required."""
    if not PYTHON.exists():
        if os.environ.get("EDGEONNX_REQUIRE_OLD") == "1":
            pytest.fail(f"{PYTHON} does not exist; run make old")
        pytest.skip(f"{PYTHON} does not exist; make test-old builds it")
    return PYTHON


def run_there(python: Path, paths: list[Path]) -> tuple[str, list[str]]:
    """The release there is, and what it says of each model."""
    ran = subprocess.run([python, "-c", PROGRAM, *paths], capture_output=True, text=True, check=True)
    release, *said = ran.stdout.splitlines()
    return release, said


def test_operators_of_newer_opsets(python, tmp_path):
    limit, models, paths = caps("1.16"), [], []
    for number, (signature, text, opset, _, _) in enumerate(FORMS.values()):
        model = build(f"{signature} {{ {text} }}", opset=opset, ir_version=10)
        made, _ = lower_opset(model, limit.opset, limit.ir_version)
        paths.append(made.save(tmp_path / f"{number}.onnx"))
        feeds = {"x": noise(*SHAPES[signature])}
        np.savez(f"{paths[-1]}.feeds.npz", **feeds)
        models.append((model, feeds))
    release, said = run_there(python, paths)
    assert release.startswith("1.16.")
    assert dict(zip(FORMS, said, strict=True)) == dict.fromkeys(FORMS, "ran")
    for name, (model, feeds), path in zip(FORMS, models, paths, strict=True):
        with np.load(f"{path}.outputs.npz") as outputs:
            expected = run(model, feeds)["y"]
            np.testing.assert_allclose(outputs["arr_0"], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_it_refuses_what_was_not_lowered(python, tmp_path):
    path = build("(float[2] x) => (float[2] y) { y = Gelu(x) }", opset=23, ir_version=11).save(tmp_path / "new.onnx")
    _, (said,) = run_there(python, [path])
    assert "IR version" in said


def test_every_animal_of_the_zoo(python, tmp_path):
    limit, paths = caps("1.16"), []
    for number, name in enumerate(QUANTIZED):
        model = Model.load(Model.from_proto(CASES[name].build()).save(tmp_path / f"{number}.given.onnx"))
        made, _ = lower_opset(model, limit.opset, limit.ir_version)
        paths.append(made.save(tmp_path / f"{number}.onnx"))
        np.savez(f"{paths[-1]}.feeds.npz", **CASES[name].feed(0))
    _, said = run_there(python, paths)
    assert {name: word for name, word in zip(QUANTIZED, said, strict=True) if word != "ran"} == {}
