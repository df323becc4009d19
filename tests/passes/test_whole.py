"""The whole list of passes: on the zoo, on the models there are, and on random graphs."""

from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.plan import Wish, count_nodes, plan_for, run
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.verbs.same import difference, samples_for
from tests.drawing import IMAGE, Drawing
from tests.passes.prove import TOLERANCE
from tests.unit.models import noise
from tests.zoo.zoo import CASES

ROOT = Path(__file__).parents[2]
MODELS = [
    "examples/fashion_mnist/mobilenetv1.onnx",
    "examples/keyword_spotting/keywords.onnx",
    "benchmarks/data/kws_mobilenetv2.onnx",
    "tests/data/mobilenetv3.onnx",
    "tests/data/resnet8.onnx",
    "tests/data/hostile_resnet8.onnx",
]
WISHES = {"as it is": Wish(), "newest": Wish(opset=23)}


def whole(model: Model, wish: Wish, samples) -> Model:
    """The optimized model, of which it is checked that it gives the same, keeps its interface, and has come to rest."""
    plan = plan_for(wish)
    made, changes = run(model, plan)
    assert (made is model) == (not any(change.rewrites for change in changes))
    assert [str(t) for t in made.inputs] == [str(t) for t in model.inputs]
    assert [str(t) for t in made.outputs] == [str(t) for t in model.outputs]
    assert count_nodes(made) == count_nodes(model) + sum(change.nodes for change in changes)
    assert difference(model, made, samples).relative <= TOLERANCE
    assert run(made, plan)[0] is made
    return made


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("name", CASES)
def test_every_animal(name, wish):
    case = CASES[name]
    try:
        model = Model.from_proto(case.build())
        model.session()
    except ModelError:
        pytest.skip("onnxruntime does not run it as it is")
    layers = len(list(quantized_layers(model.ir)))
    made = whole(model, WISHES[wish], case.samples()[:2])
    assert len(list(quantized_layers(made.ir))) == layers


@pytest.mark.parametrize("path", MODELS)
def test_every_model(path):
    model = Model.load(ROOT / path)
    made = whole(model, Wish(), samples_for(model, model, None))
    assert count_nodes(made) <= count_nodes(model)
    assert made.file_bytes <= model.file_bytes


def test_a_quantized_model_stays_quantized(fashion_int8):
    model = Model.load(fashion_int8)
    made = whole(model, Wish(opset=23), samples_for(model, model, None))
    assert len(list(quantized_layers(made.ir))) == len(list(quantized_layers(model.ir)))
    assert made.record == model.record


UNARY = ["Relu", "Sigmoid", "Tanh", "HardSigmoid", "Identity", "Neg", "Abs", "Erf", "Dropout", "Softmax", "LeakyRelu"]
# The methods of a drawing that are no steps.
TOOLS = {"any", "one_of", "weight", "add", "listed", "model"}
STEPS = [step for name, step in vars(Drawing).items() if not name.startswith("_") and name not in TOOLS]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    drawing = Drawing(draw, draw(st.sampled_from([11, 12, 13, 15, 17, 18, 20, 21, 22, 23])), UNARY)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=10)):
        step(drawing)
    return drawing.model(["N", *IMAGE[1:]] if draw(st.booleans()) else IMAGE, outputs=3)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.sampled_from(list(WISHES.values())))
def test_any_graph(model, wish):
    source = Model.from_proto(model)
    feeds = [{"x": noise(*IMAGE, seed=seed, scale=0.5)} for seed in range(2)]
    made = whole(source, wish, feeds)
    assert count_nodes(made) <= count_nodes(source)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.sampled_from([Wish(opset=21, offline="x86"), Wish(opset=15, ir_version=8, offline="arm")]))
def test_any_graph_for_a_device(model, wish):
    source = Model.from_proto(model)
    try:
        made, _ = run(source, plan_for(wish))
    except ModelError as error:
        assert "opset" in str(error)
        return
    assert made.opset <= max(wish.opset, 0)
    assert difference(source, made, [{"x": noise(*IMAGE, scale=0.5)}]).relative <= TOLERANCE
