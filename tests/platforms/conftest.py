"""One bundle for every platform, and where each writes how far from its golden samples it was."""

import json
from pathlib import Path

import pytest

import edgeonnx
from tests.platforms.report import RESULTS, Platform
from tests.unit.models import build, noise

# Not this machine: the graph is one that every CPU runs.
TARGET = "raspberrypi"


@pytest.fixture(scope="session")
def shared_bundle(examples, fashion_int8, tmp_path_factory) -> Path:
    """The example in INT8 and in float, with golden samples of both."""
    result = edgeonnx.package(
        fashion_int8,
        TARGET,
        tmp_path_factory.mktemp("platforms") / "fashion.edge",
        variants=[examples / "mobilenetv1.onnx"],
        pipeline=examples / "pipeline.toml",
        labels=examples / "labels.txt",
        data=examples / "test.npz",
    )
    return result.path


@pytest.fixture(scope="session")
def large_bundle(tmp_path_factory) -> Path:
    """A product with 2 MiB of weights, which stand outside the ONNX file."""
    model = build("(float[N,512] x) => (float[N,1024] y) { y = MatMul(x, w) }", w=noise(512, 1024))
    result = edgeonnx.package(model, TARGET, tmp_path_factory.mktemp("large") / "large.edge")
    assert result.manifest.variants[0].weights
    return result.path


@pytest.fixture
def record():
    """`record(Platform(...))` writes what a platform gave, then sees that it is within tolerance."""

    def write(platform: Platform) -> None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(platform.to_dict(), indent=2) + "\n"
        (RESULTS / f"{platform.name}.json").write_text(text, "utf-8")
        wrong = [f"{each.variant} {each.output}: {each}" for each in platform.outputs if not each.ok]
        assert not wrong, "; ".join(wrong)
        assert platform.outputs

    return write
