"""Every animal of the zoo walks the whole path: quantize, compare with float, package, load, selftest."""

from pathlib import Path

import pytest

import edgeonnx
from edgeonnx.model import Model
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.quantize.sensitivity import output_sqnr
from edgeonnx.runtime._selftest import selftest
from tests.conftest import TARGET
from tests.unit.models import operators
from tests.zoo.zoo import CASES, QUANTIZED, TOLD

RECIPE = 'title = "As it comes"\nscopes = ["all"]\nalgorithms = { equalize = false, correct_bias = false }\n'


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """One candidate, so that the placement is the widest and no algorithm hides what it does."""
    path = tmp_path_factory.mktemp("recipe") / "plain.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A machine that isn't this one, with the newest onnxruntime."""
    profile = Path(__file__).parents[2] / "targets" / f"{TARGET}.toml"
    text = profile.read_text().replace('minimum = "1.22"', 'minimum = "1.32"')
    assert 'minimum = "1.32"' in text
    path = tmp_path_factory.mktemp("target") / "newest.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantize_package_and_run(name, recipe, target, tmp_path):
    case = CASES[name]
    path = Model.from_proto(case.build()).save(tmp_path / "model.onnx")
    source, samples = Model.load(path), case.samples()
    made = edgeonnx.quantize(
        path, samples, output=tmp_path / "int8.onnx", target=target, recipe=recipe, eval_data=samples, max_drop=1.0
    )
    quantized = Model.load(made.output)
    assert [str(tensor).split(":") for tensor in quantized.inputs] == [str(t).split(":") for t in source.inputs]
    assert [(t.name, t.dtype) for t in quantized.outputs] == [(t.name, t.dtype) for t in source.outputs]
    assert tuple(sorted(layer.node.op_type for layer in quantized_layers(quantized.ir))) == case.layers
    assert set(case.kept) <= set(operators(quantized))
    assert output_sqnr(source, quantized, samples) > case.sqnr
    bundle = edgeonnx.package(quantized, target, tmp_path / "model.edge", data=samples)
    report = selftest(edgeonnx.load(bundle.path))
    assert report.samples == 3


@pytest.mark.parametrize("name", TOLD)
def test_told(name, recipe, target, tmp_path):
    case = CASES[name]
    path = Model.from_proto(case.build()).save(tmp_path / "model.onnx")
    with pytest.raises(edgeonnx.EdgeonnxError, match=case.told):
        made = edgeonnx.quantize(path, case.samples(), target=target, recipe=recipe, force=True)
        edgeonnx.package(made.model, target, tmp_path / "model.edge", data=case.samples())
