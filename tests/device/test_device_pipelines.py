"""Pipelines on an emulated device: sound, pictures that the graph decodes, text; the same results as here."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgeonnx

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parents[1] / "golden"
TEXTS = ["a dog runs in the park", "Zürich, naïve café!"]
IDS = """<ir_version: 8, opset_import: ["": 17]>
ids (int64[N,S] input_ids, int64[N,S] attention_mask) => (float[N,S,1] y) {
    product = Mul(input_ids, attention_mask)
    numbers = Cast<to = 1>(product)
    axis = Constant<value = int64[1] {2}>()
    y = Unsqueeze(numbers, axis)
}"""


@pytest.fixture(scope="module")
def extensions(tmp_path_factory) -> Path:
    """A folder with onnxruntime-extensions for the device, to be put on its path."""
    folder = tmp_path_factory.mktemp("extensions")
    wanted = ["--only-binary=:all:", "--no-deps", "--platform", "manylinux_2_28_aarch64", "--python-version", "3.11"]
    where = ["--dest", str(folder), "onnxruntime-extensions"]
    subprocess.run([sys.executable, "-m", "pip", "-q", "download", *wanted, *where], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_sound(pi, tmp_path):
    """A recording through mel bands and a network; five.wav says five."""
    example = EXAMPLES / "keyword_spotting"
    options = {"pipeline": example / "pipeline.toml", "labels": example / "labels.txt", "data": example / "test.npz"}
    bundle = edgeonnx.package(example / "keywords.onnx", "raspberrypi", tmp_path / "keywords.edge", **options).path
    assert pi.python(bundle, "selftest").returncode == 0
    heard = pi.python(bundle, "run", example / "five.wav", "--json")
    assert heard.returncode == 0, heard.stderr
    assert json.loads(heard.stdout)[0]["top"][0]["label"] == "five"


@pytest.mark.slow
def test_a_jpeg_decoded_in_the_graph(pi, extensions, tmp_path):
    from PIL import Image

    example = EXAMPLES / "fashion_mnist"
    with np.load(example / "test.npz") as data:
        (name,) = set(data.files) - {"labels"}
        pixels = data[name][0].reshape(28, 28)
    Image.fromarray(pixels).resize((280, 280)).save(tmp_path / "picture.jpg", quality=95)
    spec = edgeonnx.PipelineSpec.model_validate(
        {
            "input": {
                "image": {
                    "decode": True,
                    "color": "grey",
                    "resize": {"height": 28, "width": 28},
                    "normalize": {"scale": 255},
                }
            },
            "output": {"type": "classification", "activation": "softmax"},
        }
    )
    bundle = edgeonnx.package(example / "mobilenetv1.onnx", "raspberrypi", tmp_path / "jpeg.edge", pipeline=spec).path
    here = edgeonnx.load(bundle)(str(tmp_path / "picture.jpg"))
    there = pi.python(bundle, "run", tmp_path / "picture.jpg", "--json", env={"PYTHONPATH": str(extensions)})
    assert there.returncode == 0, there.stderr
    first = json.loads(there.stdout)[0]["top"][0]
    assert first["index"] == here.index
    assert first["score"] == pytest.approx(here.score, abs=0.01)
    without = pi.python(bundle, "run", tmp_path / "picture.jpg")
    assert without.returncode == 2
    assert "pip install onnxruntime-extensions" in without.stderr


@pytest.mark.slow
def test_text(pi, extensions, tmp_path):
    """Words become the same numbers there as here, which are Hugging Face's."""
    with np.load(GOLDEN / "text.npz") as golden:
        (tmp_path / "uncased.json").write_bytes(golden["uncased.json"].tobytes())
    (tmp_path / "pipeline.toml").write_text(
        '[input.text]\ntokenizer = {type = "wordpiece", file = "uncased.json"}\n'
        '[output]\ntype = "embedding"\npooling = "none"\nnormalize = false\n'
    )
    onnx.save(onnx.parser.parse_model(IDS), tmp_path / "ids.onnx")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    bundle = edgeonnx.package(
        tmp_path / "ids.onnx",
        "raspberrypi",
        tmp_path / "text.edge",
        pipeline=tmp_path / "pipeline.toml",
        data=tmp_path / "texts.txt",
    ).path
    model = edgeonnx.load(bundle)
    for text in TEXTS:
        (tmp_path / "text.txt").write_text(text, "utf-8")
        output = tmp_path / "there.npz"
        ran = pi.python(bundle, "run", tmp_path / "text.txt", "--output", output, env={"PYTHONPATH": str(extensions)})
        assert ran.returncode == 0, ran.stderr
        (name,) = [spec.name for spec in model.outputs]
        with np.load(output) as there:
            np.testing.assert_array_equal(there[name], model.run(model.arrays(text))[name])
