"""The quantize verb end to end: what comes out, what it says of itself, and what it refuses."""

import json

import numpy as np
import onnx
import pytest
from models import build, convnet, noise, operators, proto, run, sqnr, weight

from edgeonnx import BudgetError, Model, load_target, quantize
from edgeonnx.errors import DataError, ModelError, OutputError, PipelineError, RecipeError, TargetError
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.quantize.qdq import quantized_nodes

TARGET = "raspberrypi"  # not this machine: nothing is timed


@pytest.fixture(scope="module")
def fashion(examples, tmp_path_factory):
    """The example on few samples, with everything that was told on the way."""
    with np.load(examples / "test.npz") as test:
        evaluation = {name: test[name][:60] for name in test}
    told = []
    result = quantize(
        examples / "mobilenetv1.onnx",
        examples / "calibration.npz",
        output=tmp_path_factory.mktemp("verb") / "f.onnx",
        target=TARGET,
        recipe="fast",
        eval_data=evaluation,
        pipeline=examples / "pipeline.toml",
        max_drop=0.1,
        progress=lambda *step: told.append(step),
    )
    return result, told


def test_what_it_reports(fashion, examples):
    result, _ = fashion
    assert (result.recipe, result.target, result.metric) == ("fast", TARGET, "top-1")
    assert (result.evaluation_samples, result.calibration_samples) == (60, 32)
    assert result.float_score > 0.7
    assert result.score >= result.float_score - 0.1
    assert result.problems == ()
    assert result.float_bytes == (examples / "mobilenetv1.onnx").stat().st_size
    assert result.bytes == result.output.stat().st_size < result.float_bytes
    assert (result.speed, result.speed_note) == (None, f"not measured: this machine is not a {TARGET}")
    assert result.candidates == (result.chosen,)
    assert result.chosen.scope == "all"
    assert set(result.chosen.placement.kept.values()) == {"reads 1 channels, fewer than 4"}


def test_the_file_is_the_model_and_carries_its_record(fashion, examples):
    result, _ = fashion
    loaded = Model.load(result.output)
    record = loaded.record
    assert record["source_sha256"] == Model.load(examples / "mobilenetv1.onnx").sha256
    assert (record["recipe"], record["scope"], record["target"]) == ("fast", "all", TARGET)
    assert (record["float_score"], record["score"]) == (result.float_score, result.score)
    assert record["ranges"] == {"input": [0.0, 1.0]}  # pixels / 255
    assert len(record["pipeline"]) == 64
    assert set(record["tools"]) == {"edgeonnx", "onnxruntime"}
    json.dumps(record, allow_nan=False)
    assert loaded.ir_version <= load_target(TARGET).caps.ir_version
    x = {"input": noise(1, 1, 28, 28)}
    np.testing.assert_array_equal(*(next(iter(run(model, x).values())) for model in (loaded, result.model)))


def test_progress_is_told_stage_by_stage(fashion):
    _, told = fashion
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages[:3] == ["normalize", "score float", "calibrate"]
    assert stages[-1] == "search"
    calibrated = [done for stage, done, total in told if stage == "calibrate" and total == 32]
    assert calibrated[-1] == 32


def small(**more):
    """A quick run on a small model; not timed."""
    return quantize(
        **{"model": Model.from_proto(convnet()), "data": samples(), "target": TARGET, "max_drop": 0.2, **more}
    )


def samples(count=24):
    return {"x": noise(count, 8, 12, 12)}


def test_without_labels_agreement_is_measured_on_what_calibration_left():
    result = small()
    assert result.metric == "agreement with float"
    assert result.float_score == 1.0
    assert result.score > 0.8
    assert (result.calibration_samples, result.evaluation_samples) == (12, 12)
    assert result.output is None


def test_the_same_run_gives_the_same_bytes():
    first, second = (small().model.to_proto().SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_on_this_machine_speed_is_measured():
    result = small(target=None, recipe="fast", force=True)
    assert result.speed_note == "this machine"
    assert result.speed.low <= result.speed.ratio <= result.speed.high
    assert result.chosen.speed is result.speed


def test_a_metric_of_the_users_own(tmp_path):
    (tmp_path / "m.py").write_text(
        "import numpy as np\n"
        "def mean(predict):\n"
        "    return float(np.mean(predict({'x': np.ones((1, 8, 12, 12), 'float32')})['y']))\n"
    )
    result = small(metric=f"{tmp_path}/m.py:mean", max_drop=10)
    assert result.metric == f"{tmp_path}/m.py:mean"
    assert (result.evaluation_samples, result.calibration_samples) == (None, 24)
    expected = run(Model.from_proto(convnet()), {"x": np.ones((1, 8, 12, 12), np.float32)})["y"].mean()
    assert result.float_score == pytest.approx(expected)


def test_a_missed_budget_carries_the_best_and_writes_it_beside(tmp_path):
    with pytest.raises(
        BudgetError, match=r"agreement with float: expected at least 1\.5.*--max-drop.*--force"
    ) as caught:
        small(output=tmp_path / "q.onnx", max_drop=-0.5)
    result = caught.value.result
    assert result.output == tmp_path / "q.rejected.onnx"
    assert [file.name for file in tmp_path.iterdir()] == ["q.rejected.onnx"]
    assert len(result.candidates) > 1  # more than one was tried
    assert result.score == max(candidate.score for candidate in result.candidates)
    assert len(result.problems) == 1
    forced = small(output=tmp_path / "q.onnx", max_drop=-0.5, force=True)
    assert (forced.output, forced.problems) == (tmp_path / "q.onnx", result.problems)


@pytest.mark.parametrize("opset", [11, 13, 21])
def test_opsets_with_a_pipeline(opset, tmp_path):
    text = """(float[1,3,8,8] x) => (float[1,3] y) {
        c = Conv(x, w1)
        d = Conv(c, w2)
        g = GlobalAveragePool(d)
        y = Flatten(g)
    }"""
    model = build(text, opset=opset, w1=weight(8, 3, 3, 3), w2=weight(3, 8, 3, 3))
    image = "resize = {height = 8, width = 8}\nnormalize = {scale = 255}"
    (tmp_path / "p.toml").write_text(f'[input.x]\ntype = "image"\n{image}')
    pictures = np.random.default_rng(0).integers(0, 256, (12, 9, 7, 3), dtype=np.uint8)
    result = small(model=model, data={"x": pictures}, pipeline=tmp_path / "p.toml", max_drop=1)
    assert result.model.opset == max(13, opset)
    assert [layer.node.op_type for layer in quantized_layers(result.model.ir)] == ["Conv"]


@pytest.mark.parametrize("opset", [13, 21])
def test_activations_of_16_bits(opset):
    """Before opset 21 their Quantize is onnxruntime's own operator."""
    result = small(model=Model.from_proto(convnet(opset=opset)), recipe="int16-activations")
    domain = "" if opset == 21 else "com.microsoft"
    assert {node.domain for node in result.model.ir.graph if node.op_type == "QuantizeLinear"} == {domain}
    assert [row.sqnr > 35 for row in result.layers if row.sqnr is not None] == [True] * 3


def test_the_target_lowers_the_ir_version():
    model = Model.from_proto(convnet(ir_version=13))
    assert small(model=model).model.ir_version == load_target(TARGET).caps.ir_version
    assert small(model=model, target=None, recipe="fast", force=True).model.ir_version == 13


def test_two_inputs_and_a_scalar():
    text = """(float[N,8] a, float[N,8] b, float s, int64 n) => (float[N,4] y, int64 m) {
        c = Concat<axis = 1>(a, b)
        h = MatMul(c, w)
        y = Mul(h, s)
        m = Neg(n)
    }"""
    data = {
        "a": noise(16, 8),
        "b": noise(16, 8, seed=2),
        "s": np.linspace(0.5, 1.5, 16, dtype=np.float32),
        "n": np.arange(16),
    }
    result = small(model=build(text, w=weight(16, 4)), data=data, max_drop=0.5)
    assert set(result.model.record["ranges"]) == {"a", "b", "s"}
    assert result.model.inputs == build(text, w=weight(16, 4)).inputs
    feeds = {"a": data["a"][:4], "b": data["b"][:4], "s": data["s"][3], "n": data["n"][3]}
    feeds = {name: np.asarray(array) for name, array in feeds.items()}
    got, expected = run(result.model, feeds), run(build(text, w=weight(16, 4)), feeds)
    assert sqnr(expected["y"], got["y"]) > 20
    assert got["m"] == -3


def test_a_float16_model():
    text = "(float16[1,4,8,8] x) => (float16[1,4,6,6] y) { c = Conv(x, w) y = Relu(c) }"
    model = build(text, w=weight(4, 4, 3, 3).astype(np.float16))
    data = {"x": noise(12, 4, 8, 8).astype(np.float16)}
    result = small(model=model, data=data)
    assert "DequantizeLinear" in operators(result.model)
    assert result.model.inputs == model.inputs
    feeds = {"x": data["x"][:1]}
    assert sqnr(run(model, feeds)["y"], run(result.model, feeds)["y"]) > 25


def test_weights_outside_the_file(tmp_path):
    onnx.save(convnet(), tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=0)
    result = small(model=tmp_path / "e.onnx", output=tmp_path / "q.onnx")
    assert not Model.load(result.output).has_external_data
    assert quantized_nodes(result.model)


REFUSED = {
    "few channels": (
        "(float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w) }",
        {"w": weight(4, 3, 3, 3)},
        {"x": noise(4, 3, 8, 8)},
        "nothing to quantize: Conv reads 3 channels, fewer than 4; ship it in float",
    ),
    "no arithmetic": (
        "(float[N,4] x) => (float[N,4] y) { y = Softmax(x) }",
        {},
        {"x": noise(4, 4)},
        "nothing to quantize: no Conv, Gemm, MatMul; ship it in float",
    ),
    "float64": (
        "(double[N,4] x) => (double[N,4] y) { y = MatMul(x, w) }",
        {"w": weight(4, 4).astype(np.float64)},
        {"x": noise(4, 4).astype(np.float64)},
        "nothing to quantize: MatMul computes in double; ship it in float",
    ),
    "no finite range": (
        "(float[N,4] x) => (float[N,4] y) { h = Log(x) y = MatMul(h, w) }",
        {"w": weight(4, 4)},
        {"x": np.zeros((4, 4), np.float32)},
        "nothing to quantize: MatMul h holds values that are not finite; ship it in float",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_to_quantize(name):
    text, weights, data, match = REFUSED[name]
    metric = (lambda predict: 1.0) if name == "no finite range" else None
    with pytest.raises(ModelError, match=match):
        small(model=build(text, **weights), data=data, metric=metric)


def test_a_model_that_is_quantized_already(fashion, examples):
    with pytest.raises(ModelError, match=r"f\.onnx is quantized already; give the float model"):
        quantize(fashion[0].output, examples / "calibration.npz")


def test_bad_settings_are_told_before_any_work(tmp_path):
    def called():
        raise AssertionError("data was read")
        yield

    cases = [
        ({"recipe": "balnced"}, RecipeError, "Near: balanced"),
        ({"target": "rasberrypi"}, TargetError, "raspberrypi"),
        ({"output": tmp_path / "no" / "q.onnx"}, OutputError, "does not exist"),
        ({"pipeline": tmp_path / "none.toml"}, PipelineError, "no such file"),
        ({"model": tmp_path / "none.onnx"}, ModelError, "no such file"),
    ]
    for settings, error, match in cases:
        with pytest.raises(error, match=match):
            small(data=called, **settings)


def test_a_target_refuses_before_any_work():
    text = "(float[N,4] x) => (float[N,4] y) { h = MatMul(x, w) y = Relu(h) }"
    model = Model.from_proto(proto(text, opset=25, ir_version=10, w=weight(4, 4)))
    with pytest.raises(TargetError, match="raspberrypi refuses the model: opset: expected at most 22"):
        small(model=model, data={"x": noise(4, 4)})


def test_data_that_does_not_fit():
    with pytest.raises(DataError, match=r"expected shape|expected an array"):
        small(data={"x": noise(4, 7, 12, 12)})
