"""Saturation as it is foretold, against a CPU that saturates: AVX2 without VNNI, emulated in one process."""

import numpy as np
import pytest

from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.range_reduction import reduce_range
from edgeonnx.quantize.saturation import measured_saturation, saturating, saturating_layers
from edgeonnx.verbs.data import Preparation, as_pipeline
from tests.unit.models import run
from tests.unit.saturation_cases import CASES, feed, model, reference

PICTURES = 40
FASHION, REDUCED = "fashion", "fashion reduced"
# Every model twice: as it is, and with onnxruntime's own remedy, which turns int8 weights into uint8.
SCRIPT = """
import pathlib, sys
import numpy as np, onnxruntime as ort
for path in pathlib.Path(sys.argv[1]).glob("*.onnx"):
    with np.load(path.with_suffix(".npz")) as data:
        feeds = [{"x": data["x"]}] if "x" in data else [{"input": one} for one in data["input"]]
    for precise in "01":
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.x64quantprecision", precise)
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        outputs = [session.run(None, one)[0] for one in feeds]
        np.save(path.with_suffix(f".{precise}.npy"), np.concatenate(outputs))
"""


@pytest.fixture(scope="module")
def pictures(examples):
    """Feeds of the example model."""
    prepare = Preparation(Model.load(examples / "mobilenetv1.onnx"), as_pipeline(examples / "pipeline.toml"))
    return [prepare(one) for one in prepare.open(examples / "test.npz").feeds(range(PICTURES))]


@pytest.fixture(scope="module")
def fashion(fashion_int8):
    return Model.load(fashion_int8)


@pytest.fixture(scope="module")
def reduced(fashion, examples):
    """The example model, reduced in range where it saturates."""
    return reduce_range(fashion, normalize(Model.load(examples / "mobilenetv1.onnx")), saturating_layers(fashion))


@pytest.fixture(scope="module")
def haswell_outputs(haswell, fashion, reduced, pictures, tmp_path_factory):
    """name -> what the model returns there, and with onnxruntime's remedy."""
    folder = tmp_path_factory.mktemp("saturation")
    for number, case in enumerate(CASES.values()):
        model(case).save(folder / f"{number}.onnx")
        np.savez(folder / f"{number}.npz", **feed(case))
    stacked = np.stack([feeds["input"] for feeds in pictures])
    for name, quantized in ((FASHION, fashion), (REDUCED, reduced)):
        quantized.save(folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", input=stacked)
    ran = haswell.python("-c", SCRIPT, folder)
    assert ran.returncode == 0, ran.stderr
    files = {name: str(number) for number, name in enumerate(CASES)} | {FASHION: FASHION, REDUCED: REDUCED}
    return {name: tuple(np.load(folder / f"{file}.{precise}.npy") for precise in "01") for name, file in files.items()}


def _outputs(quantized, feeds):
    session = quantized.session()
    return np.concatenate([session.run(None, one)[0] for one in feeds])


@pytest.mark.parametrize("name", CASES)
def test_a_layer_returns_what_was_foretold(haswell_outputs, name):
    """To the bit; a layer that saturates returns something else where products are exact."""
    case, there = CASES[name], haswell_outputs[name][0]
    np.testing.assert_array_equal(there, run(saturating(model(case)), feed(case))["y"])
    differs = np.mean(there != haswell_outputs[name][1])
    assert differs == 0 if case.exact else differs > 0.1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.exact])
def test_the_runtimes_own_remedy_is_exact(haswell_outputs, name):
    np.testing.assert_array_equal(haswell_outputs[name][1], reference(CASES[name], saturate=False))


def test_the_example_model_returns_what_was_foretold(haswell_outputs, fashion, pictures):
    there, exact = haswell_outputs[FASHION]
    np.testing.assert_array_equal(there, _outputs(saturating(fashion), pictures))
    assert np.any(there != exact)
    assert max(measured_saturation(fashion, pictures).values()) > 0


def test_the_example_model_with_its_range_reduced_is_the_same_everywhere(haswell_outputs, reduced, pictures):
    there, exact = haswell_outputs[REDUCED]
    np.testing.assert_array_equal(there, exact)
    np.testing.assert_array_equal(there, _outputs(reduced, pictures))
