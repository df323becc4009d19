"""What many tests start from: the example model, quantized and packaged as a user would, once a session."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import edgeonnx
from tests import native

# `make test` draws the same examples every time, so that what fails is what was changed; `make fuzz` draws new ones.
settings.register_profile("repeatable", derandomize=True)

EXAMPLES = Path(__file__).parents[1] / "examples" / "fashion_mnist"
EVALUATION_SAMPLES = 100
# Not this machine, so nothing is timed and the result is the same to the byte wherever it is made.
TARGET = "raspberrypi"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tests neither write to the user's cache nor are answered from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEONNX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def examples() -> Path:
    """Folder of the example model, its data and its pipeline; not to be written to."""
    return EXAMPLES


@pytest.fixture(scope="session")
def shirt_png(examples) -> Path:
    """A picture of a shirt, 28 x 28, grey."""
    return examples / "shirt.png"


@pytest.fixture(scope="session")
def median(tmp_path_factory) -> Path:
    """The library of examples/custom_op for this machine, with one operator, example.vision::MedianFilter."""
    return native.median_filter(tmp_path_factory.mktemp("median"))


@pytest.fixture(scope="session")
def fashion_int8(examples, tmp_path_factory) -> Path:
    """The example model in INT8."""
    with np.load(examples / "test.npz") as test:
        evaluation = {name: test[name][:EVALUATION_SAMPLES] for name in test}
    result = edgeonnx.quantize(
        examples / "mobilenetv1.onnx",
        examples / "calibration.npz",
        output=tmp_path_factory.mktemp("int8") / "fashion.int8.onnx",
        target=TARGET,
        eval_data=evaluation,
        pipeline=examples / "pipeline.toml",
        max_drop=0.05,
        force=True,  # on a machine of the target's kind it is timed, and this is no test of speed
    )
    assert result.output is not None
    return result.output


@pytest.fixture(scope="session")
def fashion_bundle(examples, fashion_int8, tmp_path_factory) -> Path:
    """The INT8 example packaged: from a grey picture of its size to ten labelled classes."""
    result = edgeonnx.package(
        fashion_int8,
        TARGET,
        tmp_path_factory.mktemp("bundle") / "fashion.edge",
        pipeline=examples / "pipeline.toml",
        labels=examples / "labels.txt",
        data=examples / "test.npz",
    )
    return result.path
