"""Random graphs: whatever they are made of, quantizing them ends in a model that runs and is near, or in words."""

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgeonnx
from edgeonnx.model import Model
from edgeonnx.quantize.sensitivity import output_sqnr
from tests.conftest import TARGET
from tests.unit.models import noise, weight

CHANNELS, SIZE = 4, 6
IMAGE = (2, CHANNELS, SIZE, SIZE)


class Drawing:
    """A graph in the making; every tensor has the shape IMAGE, so that any node may read any other's output."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.tensors, self.nodes, self.weights = ["x"], [], []

    def any(self) -> str:
        return self._draw(st.sampled_from(self.tensors))

    def weight(self, array: np.ndarray) -> str:
        self.weights.append(onnx.numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, op_type: str, *inputs: str, last: bool = True, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op_type, inputs, [name], **attributes))
        if last:
            self.tensors.append(name)
        return name

    def conv(self) -> None:
        group, size = self._draw(st.sampled_from([1, CHANNELS])), self._draw(st.sampled_from([1, 3]))
        w = self.weight(weight(CHANNELS, CHANNELS // group, size, size, seed=len(self.nodes)))
        bias = [self.weight(noise(CHANNELS, seed=len(self.nodes)))] if self._draw(st.booleans()) else []
        self.add("Conv", self.any(), w, *bias, group=group, pads=[size // 2] * 4)

    def matmul(self) -> None:
        self.add("MatMul", self.any(), self.weight(weight(SIZE, SIZE, seed=len(self.nodes))))

    def gemm(self) -> None:
        rows = self.add("Reshape", self.any(), self.weight(np.array([-1, SIZE])), last=False)
        w, transposed = self.weight(weight(SIZE, SIZE, seed=len(self.nodes))), self._draw(st.integers(0, 1))
        made = self.add("Gemm", rows, w, self.weight(noise(SIZE)), transB=transposed, last=False)
        self.add("Reshape", made, self.weight(np.array(IMAGE)))

    def one(self) -> None:
        self.add(
            self._draw(st.sampled_from(["Relu", "Sigmoid", "LeakyRelu", "Tanh", "HardSwish", "Softmax"])), self.any()
        )

    def two(self) -> None:
        self.add(self._draw(st.sampled_from(["Add", "Mul", "Sub"])), self.any(), self.any())

    def join(self) -> None:
        joined = self.add("Concat", self.any(), self.any(), axis=1, last=False)
        self.add("Conv", joined, self.weight(weight(CHANNELS, 2 * CHANNELS, 1, 1, seed=len(self.nodes))))

    def pool(self) -> None:
        kind = self._draw(st.sampled_from(["MaxPool", "AveragePool"]))
        self.add(kind, self.any(), kernel_shape=[3, 3], pads=[1] * 4)

    def turn(self) -> None:
        self.add("Transpose", self.any(), perm=[0, 1, 3, 2])

    def split(self) -> None:
        parts = [f"t{len(self.nodes)}.{part}" for part in "ab"]
        sizes = self.weight(np.array([1, CHANNELS - 1]))
        self.nodes.append(onnx.helper.make_node("Split", [self.any(), sizes], parts, axis=1))
        self.add("Concat", *parts[::-1], axis=1)


STEPS = [Drawing.conv, Drawing.matmul, Drawing.gemm, Drawing.one, Drawing.two, Drawing.join, Drawing.pool]
STEPS += [Drawing.turn, Drawing.split]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    drawing = Drawing(draw)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)):
        step(drawing)
    # The last is an output, and any other may be one too.
    names = dict.fromkeys([drawing.tensors[-1], *draw(st.lists(st.sampled_from(drawing.tensors[1:]), max_size=2))])
    kind = onnx.TensorProto.FLOAT
    outputs = [onnx.helper.make_tensor_value_info(name, kind, IMAGE) for name in names]
    inputs = [onnx.helper.make_tensor_value_info("x", kind, IMAGE)]
    graph = onnx.helper.make_graph(drawing.nodes, "g", inputs, outputs, drawing.weights)
    return onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])


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
