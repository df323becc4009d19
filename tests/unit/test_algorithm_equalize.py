"""Cross-layer equalization: the float function stays, and channels of very unlike size survive INT8."""

import numpy as np
import onnx_ir as ir
import pytest
from fashion import calibration, fashion_model, int8, logits, top1
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import build, noise, operators, run, sqnr

from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.algorithms.equalize import equalizable, equalize
from edgeonnx.quantize.algorithms.observe import channel_maxima
from edgeonnx.ranges import Ranges


class Sketch:
    """A graph written line by line, every output channel of every layer scaled by 1/50 to 50."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.lines, self.weights, self.count = [], {}, 0

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights[name] = array
        return name

    def uneven(self, *shape, axis=0):
        sizes = np.exp(self.random.uniform(-np.log(50), np.log(50), shape[axis]))
        sizes = sizes.reshape([-1 if index == axis else 1 for index in range(len(shape))])
        return self.constant((self.random.standard_normal(shape) * sizes).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def add(self, text):
        self.count += 1
        self.lines.append(f"t{self.count} = {text}")
        return f"t{self.count}"

    def conv(self, x, inputs, outputs, group=1, size=3):
        weight, bias = self.uneven(outputs, inputs // group, size, size), self.uneven(outputs)
        pads = f"[{', '.join([str(size // 2)] * 4)}]"
        return self.add(f"Conv<group = {group}, pads = {pads}>({x}, {weight}, {bias})")

    def model(self, output, classes):
        lines = "\n".join([*self.lines, f"y = Identity({output})"])
        return normalize(build(f"(float[N,3,6,6] x) => (float[N,{classes}] y) {{\n{lines}\n}}", **self.weights))


def block(sketch, kind, x):  # noqa: C901, PLR0911, PLR0912 - a list of cases
    """Eight channels in, eight out, 6 x 6."""
    match kind:
        case "conv":
            return sketch.conv(x, 8, 8)
        case "grouped":
            return sketch.conv(x, 8, 8, group=2)
        case "depthwise":
            return sketch.add(f"Relu({sketch.conv(x, 8, 8, group=8)})")
        case "transposed":
            return sketch.add(f"ConvTranspose<group = 2>({x}, {sketch.uneven(8, 4, 1, 1)}, {sketch.uneven(8)})")
        case "leaky":
            return sketch.add(f"LeakyRelu<alpha = 0.1>({x})")
        case "prelu":
            return sketch.add(f"PRelu({x}, {sketch.constant(np.abs(noise(8, 1, 1)))})")
        case "shift":
            return sketch.add(f"Add({x}, {sketch.constant(noise(8, 1, 1))})")
        case "shift all":
            return sketch.add(f"Sub({sketch.constant(np.float32(0.3))}, {x})")
        case "residual":
            return sketch.add(f"Add({x}, {sketch.conv(sketch.add(f'Relu({sketch.conv(x, 8, 16)})'), 16, 8)})")
        case "fork":
            return sketch.add(f"Max({sketch.conv(x, 8, 8, size=1)}, {sketch.conv(x, 8, 8)})")
        case "dense":
            return sketch.conv(sketch.add(f"Concat<axis = 1>({x}, {sketch.conv(x, 8, 4)})"), 12, 8)
        case "gate":
            pooled = sketch.add(f"GlobalAveragePool({x})")
            gate = sketch.add(f"Sigmoid({sketch.conv(pooled, 8, 8, size=1)})")
            return sketch.add(f"Mul({x}, {gate})")
        case "swish":
            return sketch.add(f"Mul({x}, {sketch.add(f'HardSigmoid({x})')})")
        case "clip":
            zero, six = sketch.constant(np.float32(0)), sketch.constant(np.float32(6))
            return sketch.add(f"Clip({x}, {zero}, {six})")
        case "shuffle":
            split = sketch.add(f"Reshape({x}, {sketch.ints(0, 2, 4, 6, 6)})")
            swapped = sketch.add(f"Transpose<perm = [0, 2, 1, 3, 4]>({split})")
            return sketch.add(f"Reshape({swapped}, {sketch.ints(0, 8, 6, 6)})")
        case "halves":
            sketch.count += 2
            left, right = f"t{sketch.count - 1}", f"t{sketch.count}"
            sketch.lines.append(f"{left}, {right} = Split<axis = 1>({x}, {sketch.ints(4, 4)})")
            return sketch.add(f"Concat<axis = 1>({right}, {sketch.conv(left, 4, 4)})")
        case "pool":
            return sketch.add(f"MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>({x})")


def tail(sketch, kind, x):
    """To five classes."""
    match kind:
        case "global":
            flat, size = sketch.add(f"Flatten({sketch.add(f'GlobalAveragePool({x})')})"), 8
        case "mean":
            flat, size = sketch.add(f"ReduceMean<axes = [2, 3], keepdims = 0>({x})"), 8
        case "flatten":
            flat, size = sketch.add(f"Flatten({x})"), 8 * 36
        case "last":
            moved = sketch.add(f"Transpose<perm = [0, 2, 3, 1]>({x})")
            flat, size = sketch.add(f"Reshape({moved}, {sketch.ints(0, -1)})"), 8 * 36
        case "matmul":
            moved = sketch.add(f"Transpose<perm = [0, 2, 3, 1]>({x})")
            hidden = sketch.add(f"Relu({sketch.add(f'MatMul({moved}, {sketch.uneven(8, 7, axis=1)})')})")
            back = sketch.add(f"Transpose<perm = [0, 3, 1, 2]>({hidden})")
            flat, size = sketch.add(f"Flatten({sketch.add(f'GlobalMaxPool({back})')})"), 7
    return sketch.add(f"Gemm<transB = 1>({flat}, {sketch.uneven(5, size)}, {sketch.constant(noise(5))})")


BLOCKS = ["conv", "grouped", "depthwise", "transposed", "leaky", "prelu", "shift", "shift all", "residual", "fork"]
BLOCKS += ["dense", "gate", "swish", "clip", "shuffle", "halves", "pool"]
TAILS = ["global", "mean", "flatten", "last", "matmul"]


def sketch_model(blocks, end, seed=0):
    sketch = Sketch(seed)
    x = sketch.conv("x", 3, 8)
    for kind in blocks:
        x = block(sketch, kind, x)
    return sketch.model(tail(sketch, end, x), 5)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=5), st.sampled_from(TAILS), st.integers(0, 99))
def test_the_float_function_is_kept(blocks, end, seed):
    model = sketch_model(blocks, end, seed)
    made, _ = equalize(model)
    feed = {"x": noise(3, 3, 6, 6, seed=seed)}
    before, after = run(model, feed)["y"], run(made, feed)["y"]
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


@pytest.mark.parametrize("kind", [kind for kind in BLOCKS if kind not in ("swish", "clip")])
def test_channels_are_followed_through(kind):
    _, changed = equalize(sketch_model([kind, "conv"], "global"))
    assert "node" in changed  # the first Conv, of whose channels nothing else is known


def test_ranges_written_and_read_become_equal():
    model = sketch_model(["leaky"], "global").copy()
    node = model.ir.graph.node("node")
    node.inputs[2].const_value = ir.tensor(np.zeros(8, np.float32))
    made, _ = equalize(model)
    conv, gemm = (node.inputs[1].const_value.numpy() for node in made.ir.graph if node.op_type in ("Conv", "Gemm"))
    ratio = np.abs(conv).max(axis=(1, 2, 3)) / np.abs(gemm).max(axis=0)
    assert ratio.max() / ratio.min() < 1.2


@pytest.mark.parametrize("end", TAILS)
def test_channels_are_followed_to_the_classifier(end):
    made, changed = equalize(sketch_model(["leaky"], end))
    gemm = next(node for node in made.ir.graph if node.op_type == "Gemm")
    assert gemm.name in changed


@pytest.mark.parametrize("kind", ["swish", "clip"])
def test_what_does_not_commute_with_scaling_is_left_alone(kind):
    model = sketch_model([kind], "global")
    made, changed = equalize(model)
    assert made is model
    assert changed == ()


def test_inputs_are_not_changed():
    model = sketch_model(["residual", "clip", "dense"], "last")
    before = model.to_proto().SerializeToString(deterministic=True)
    equalize(model)
    assert model.to_proto().SerializeToString(deterministic=True) == before


def test_a_clip_that_never_acts_becomes_relu():
    model = sketch_model(["clip"], "global")
    clip = next(node for node in model.ir.graph if node.op_type == "Clip")
    reached = Ranges({clip.inputs[0].name: (-9.0, 6.1)}, 1)
    assert equalize(model, reached)[0] is model
    free, changed = equalize(model, Ranges({clip.inputs[0].name: (-9.0, 5.9)}, 1))
    assert clip.name in changed
    assert "Clip" not in operators(free)


def test_a_channel_that_is_dead_but_for_its_bias_does_not_grow():
    model = sketch_model(["leaky", "conv"], "global")
    first = next(node for node in model.ir.graph if node.op_type == "Conv")
    weight, bias = (value.const_value.numpy().copy() for value in first.inputs[1:])
    weight[2], bias[2] = 1e-12, 3.0
    model = model.copy()
    node = model.ir.graph.node(first.name)
    node.inputs[1].const_value, node.inputs[2].const_value = ir.tensor(weight), ir.tensor(bias)
    made, _ = equalize(model)
    biases = np.abs(made.ir.graph.node(first.name).inputs[2].const_value.numpy())
    assert biases[2] < 1000 * np.median(biases)


def test_shared_weights_are_left_alone():
    text = """(float[N,4,5,5] x) => (float[N,4,5,5] y) {
        a = Conv(x, w)
        b = Relu(a)
        c = Conv(b, w)
        d = Relu(c)
        y = Conv(d, v)
    }"""
    model = normalize(build(text, w=noise(4, 4, 1, 1), v=noise(4, 4, 1, 1)))
    assert equalize(model)[1] == ()


@pytest.mark.parametrize("per_channel", [True, False])
def test_hostile_scaling_is_undone(per_channel):
    """The same function as resnet8, channels rescaled by 1/50 to 50: plain INT8 loses 60 points on it."""
    model, feeds = fashion_model("hostile_resnet8"), calibration()
    made, changed = equalize(model)
    assert len(changed) == 10
    scale = np.abs(logits(model)).max()
    assert np.abs(logits(model) - logits(made)).max() <= 1e-4 * scale
    assert top1(int8(model, feeds, per_channel)) < 0.5
    assert top1(int8(made, feeds, per_channel)) >= top1(model) - 0.01


def test_activation_ranges_serve_too():
    model, feeds = fashion_model("hostile_resnet8"), calibration()
    seen = channel_maxima(model, equalizable(model), feeds)
    made, _ = equalize(model, channel_max=seen)
    after = channel_maxima(made, equalizable(made), feeds)
    spread = lambda found: np.mean([np.log(v[v > 0]).std() for v in found.values()])  # noqa: E731
    assert spread(after) < spread(seen) / 2
    assert sqnr(logits(model), logits(int8(made, feeds))) > 30
