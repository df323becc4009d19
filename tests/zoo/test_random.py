"""Random graphs: whatever they are made of, quantizing them ends in a model that runs and is near, or in words."""

import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgeonnx
from edgeonnx.model import Model
from edgeonnx.quantize.sensitivity import output_sqnr
from tests.conftest import TARGET
from tests.drawing import IMAGE, Drawing
from tests.unit.models import noise

UNARY = ["Relu", "Sigmoid", "LeakyRelu", "Tanh", "HardSwish", "Softmax"]
STEPS = [Drawing.conv, Drawing.matmul, Drawing.gemm, Drawing.one, Drawing.two, Drawing.join, Drawing.pool]
STEPS += [Drawing.turn, Drawing.split]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    drawing = Drawing(draw, 17, UNARY)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)):
        step(drawing)
    return drawing.model(IMAGE, outputs=2)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(models())
def test_any_graph(model):
    source = Model.from_proto(model)
    samples = [{"x": noise(*IMAGE, seed=seed)} for seed in range(4)]
    try:
        made = edgeonnx.quantize(source, samples, target=TARGET, recipe="fast", eval_data=samples, max_drop=1.0)
    except edgeonnx.EdgeonnxError as error:
        assert "has nothing to quantize" in str(error)
        return
    assert [str(tensor) for tensor in made.model.outputs] == [str(tensor) for tensor in source.outputs]
    assert output_sqnr(source, made.model, samples) > 10
