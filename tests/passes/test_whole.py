"""The whole list of passes: on the zoo, on the models there are, and on random graphs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.plan import Wish, count_nodes, plan_for, run
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.verbs.same import difference, samples_for
from tests.passes.prove import TOLERANCE
from tests.unit.models import noise, weight
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


CHANNELS, SIZE = 4, 6
IMAGE = (2, CHANNELS, SIZE, SIZE)
ONE = ["Relu", "Sigmoid", "Tanh", "HardSigmoid", "Identity", "Neg", "Abs", "Exp", "Erf", "Dropout", "Softmax"]


class Drawing:
    """A graph in the making; every tensor has the shape IMAGE, so that any node may read any other's output."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.tensors, self.nodes, self.weights = ["x"], [], []

    def any(self) -> str:
        return self.draw(st.sampled_from(self.tensors))

    def weight(self, array: np.ndarray) -> str:
        self.weights.append(onnx.numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, op_type: str, *inputs: str, last: bool = True, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op_type, inputs, [name], **attributes))
        if last:
            self.tensors.append(name)
        return name

    def one(self) -> None:
        self.add(self.draw(st.sampled_from(ONE)), self.any())

    def two(self) -> None:
        self.add(self.draw(st.sampled_from(["Add", "Mul", "Sub", "Max"])), self.any(), self.any())

    def constant(self) -> None:
        shape = self.draw(st.sampled_from([(), (1,), (CHANNELS, 1, 1), (1, CHANNELS, 1, 1), (SIZE,), (SIZE, 1)]))
        value = self.draw(st.sampled_from([0.0, 1.0, 0.5, 2.0, 3.0, 6.0]))
        array = np.full(shape, value, np.float32) if self.draw(st.booleans()) else noise(*shape) + np.float32(2)
        operands = [self.any(), self.weight(array)]
        kinds = ["Add", "Mul", "Sub"] + ([] if (array == 0).any() else ["Div"])
        kind = self.draw(st.sampled_from(kinds))
        self.add(kind, *(operands if kind == "Div" or self.draw(st.booleans()) else operands[::-1]))

    def conv(self) -> None:
        group, size = self.draw(st.sampled_from([1, 2, CHANNELS])), self.draw(st.sampled_from([1, 3]))
        array = weight(CHANNELS, CHANNELS // group, size, size, seed=self.draw(st.integers(1, 2)))
        bias = [self.weight(noise(CHANNELS))] if self.draw(st.booleans()) else []
        padded = self.draw(st.booleans())
        source = self.any()
        if not padded:
            pads = [0, 0, size // 2, size // 2] * 2
            source = self.add("Pad", source, self.weight(np.array(pads)), last=False)
        self.add("Conv", source, self.weight(array), *bias, group=group, pads=[size // 2 if padded else 0] * 4)

    def normalize(self) -> None:
        seed = self.draw(st.integers(1, 2))
        parts = [noise(CHANNELS, seed=seed + i) for i in range(3)] + [noise(CHANNELS, seed=seed) ** 2 + np.float32(0.5)]
        self.add("BatchNormalization", self.any(), *map(self.weight, parts))

    def matmul(self) -> None:
        self.add("MatMul", self.any(), self.weight(weight(SIZE, SIZE, seed=self.draw(st.integers(1, 2)))))

    def gemm(self) -> None:
        rows = self.add("Reshape", self.any(), self.weight(np.array([-1, SIZE])), last=False)
        made = self.add("MatMul", rows, self.weight(weight(SIZE, SIZE)), last=False)
        added = self.add("Add", made, self.weight(noise(SIZE)), last=False)
        self.add("Reshape", added, self.weight(np.array(IMAGE)))

    def turn(self) -> None:
        self.add("Transpose", self.any(), perm=[0, 1, 3, 2])

    def twice(self) -> None:
        """A Transpose, a Reshape or a Cast, and back."""
        there, back = self.draw(
            st.sampled_from(
                [
                    (("Transpose", {"perm": [1, 3, 0, 2]}), ("Transpose", {"perm": [2, 0, 3, 1]})),
                    (("Cast", {"to": 11}), ("Cast", {"to": 1})),
                    (("Flatten", {}), ("Reshape", {})),
                ]
            )
        )
        middle = self.add(there[0], self.any(), last=False, **there[1])
        shape = [self.weight(np.array(IMAGE))] if back[0] == "Reshape" else []
        self.add(back[0], middle, *shape, **back[1])

    def clip(self) -> None:
        ends = [self.weight(np.float32(self.draw(st.sampled_from([-1.0, 0.0])))), self.weight(np.float32(6))]
        self.add("Clip", self.any(), *ends)

    def swish(self) -> None:
        source = self.any()
        moved = self.add("Add", source, self.weight(np.float32(3)), last=False)
        kept = self.add("Clip", moved, self.weight(np.float32(0)), self.weight(np.float32(6)), last=False)
        self.add("Div", self.add("Mul", kept, source, last=False), self.weight(np.float32(6)))

    def layer(self) -> None:
        source, axes = self.any(), self.weight(np.array([-1]))
        mean = self.add("ReduceMean", source, axes, last=False)
        moved = self.add("Sub", source, mean, last=False)
        power = self.add("Pow", moved, self.weight(np.float32(2)), last=False)
        spread = self.add("ReduceMean", power, axes, last=False)
        root = self.add("Sqrt", self.add("Add", spread, self.weight(np.float32(0.1)), last=False), last=False)
        self.add("Mul", self.add("Div", moved, root, last=False), self.weight(noise(SIZE)))


STEPS = [
    step for name, step in vars(Drawing).items() if name not in ("any", "weight", "add") and not name.startswith("_")
]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    drawing = Drawing(draw)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=10)):
        step(drawing)
    # The last is an output, and any other may be one too.
    names = dict.fromkeys([drawing.tensors[-1], *draw(st.lists(st.sampled_from(drawing.tensors[1:]), max_size=3))])
    free = ["N", *IMAGE[1:]] if draw(st.booleans()) else IMAGE
    kind = onnx.TensorProto.FLOAT
    outputs = [onnx.helper.make_tensor_value_info(name, kind, IMAGE if free == IMAGE else None) for name in names]
    inputs = [onnx.helper.make_tensor_value_info("x", kind, free)]
    graph = onnx.helper.make_graph(drawing.nodes, "g", inputs, outputs, drawing.weights)
    return onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 18)])


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.sampled_from(list(WISHES.values())))
def test_any_graph(model, wish):
    source = Model.from_proto(model)
    feeds = [{"x": noise(*IMAGE, seed=seed, scale=0.5)} for seed in range(2)]
    made = whole(source, wish, feeds)
    assert count_nodes(made) <= count_nodes(source)
