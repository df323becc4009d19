"""Optimize: what it makes, what it says of it, and what it refuses."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from models import build, noise, operators, proto, weight

import edgeonnx
from edgeonnx.bench.timing import slower
from edgeonnx.errors import DifferenceError, ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.plan import Plan, Wish, plan_for
from edgeonnx.targets import load_target, runs_here
from edgeonnx.verbs.attempt import Attempt
from edgeonnx.verbs.provider import why_untimed
from edgeonnx.verbs.same import difference, samples_for

NET = """(float[N,6,8,8] x) => (float[N,4] y) {
    c = Conv<pads = [1,1,1,1]>(x, w) n = BatchNormalization(c, s, s, s, v) i = Identity(n)
    h = HardSigmoid<alpha = 0.16666667>(i) m = Mul(i, h) p = GlobalAveragePool(m) y = Flatten(p)
}"""
PARTS = {"w": weight(4, 6, 3, 3), "s": noise(4, seed=2) + np.float32(2), "v": noise(4, seed=3) ** 2 + np.float32(0.2)}
# A query that may look at nothing: NaN by Softmax, 0 by Attention.
LOST = """(float[1,2,3,4] q, float[1,2,3,4] k, float[1,2,3,4] v) => (float[1,2,3,4] y) {
    t = Transpose<perm = [0,1,3,2]>(k) p = MatMul(q, t) s = Add(p, m) e = Softmax(s) y = MatMul(e, v)
}"""
MASK = np.full((3, 3), -np.inf, np.float32)


@pytest.fixture
def net(tmp_path):
    return Model.from_proto(proto(NET, **PARTS)).save(tmp_path / "net.onnx")


@pytest.fixture
def lost():
    return build(LOST, m=MASK)


def test_a_model_becomes_smaller_and_gives_the_same(net, tmp_path):
    result = edgeonnx.optimize(net, output=tmp_path / "small.onnx")
    assert operators(Model.load(result.output)) == ["Conv", "HardSwish", "GlobalAveragePool", "Flatten"]
    assert (result.nodes_before, result.nodes) == (7, 4)
    assert result.bytes < result.bytes_before
    assert 0 < result.difference.relative < 1e-5
    assert result.difference.samples == 6
    assert {change.name: change.nodes for change in result.changes if change.nodes} == {
        "remove_identities": -1,
        "fold_affine": -1,
        "fuse_hardswish": -1,
    }
    assert result.speed is not None
    assert (result.problems, result.notes) == ((), ())


def test_a_model_with_nothing_to_do_is_the_model_itself(net):
    small = edgeonnx.optimize(net).model
    again = edgeonnx.optimize(small)
    assert again.model is small
    assert not any(change.rewrites for change in again.changes)
    assert (again.speed, again.speed_note) == (None, "not measured: nothing changed")


def test_a_pass_can_be_left_out(net):
    result = edgeonnx.optimize(net, skip=["fold_affine"])
    assert "BatchNormalization" in operators(result.model)
    assert "fold_affine" not in {change.name for change in result.changes}
    with pytest.raises(ModelError, match=r"pass 'fold_conv': expected one of .*fold_affine"):
        edgeonnx.optimize(net, skip=["fold_conv"])


def test_a_pass_that_makes_it_differ_is_left_out_and_named(lost, tmp_path):
    result = edgeonnx.optimize(lost, opset=23, output=tmp_path / "o.onnx")
    assert "Attention" not in operators(Model.load(result.output))
    assert "left out, since outputs would differ: fuse_attention; --force" in result.notes[0]
    assert not result.differs
    forced = edgeonnx.optimize(lost, opset=23, output=tmp_path / "o.onnx", force=True)
    assert "Attention" in operators(Model.load(forced.output))
    assert forced.differs


def test_no_more_is_left_out_than_must_be():
    """Also where two passes are the cause, each by itself."""
    source = build(LOST.replace("y = MatMul(e, v)", "a = MatMul(e, v) i = Identity(a) y = Relu(i)"), m=MASK)
    attempt = Attempt(source, plan_for(Wish(opset=23)), frozenset(), None, samples_for(source, source, None), 1e-5)
    assert attempt.to_leave_out(attempt.same) == {"fuse_attention"}
    kinds = {"Identity", "Softmax"}
    assert attempt.to_leave_out(lambda made: kinds <= {*operators(made)}) == {"remove_identities", "fuse_attention"}
    assert attempt.to_leave_out(lambda made: False) == frozenset()


def test_a_pass_that_makes_it_slower_is_left_out():
    source = build("(float[2,4] x) => (float[2,4] y) { y = Neg(x) }")
    steps = " ".join(f"t{i + 1} = Neg(t{i})" for i in range(1000))
    long = build(f"(float[2,4] x) => (float[2,4] y) {{ t0 = Neg(x) {steps} y = Identity(t1000) }}")

    def drag(model):
        return (long, 1) if model is not long else (model, 0)

    attempt = Attempt(source, Plan((), (drag,)), frozenset(), None, [{"x": noise(2, 4)}], 1e-5)
    made = attempt.made()
    assert not attempt.differs(made)
    assert slower(made.speed)
    assert attempt.to_leave_out(attempt.same_and_quick) == {"drag"}


def test_what_an_older_operator_set_costs_is_said_and_no_failure():
    steps = " ".join(f"t{i + 1} = Gelu(t{i})" for i in range(300))
    long = build(f"(float[2,4] x) => (float[2,4] y) {{ t0 = Neg(x) {steps} y = Neg(t300) }}", opset=20)
    result = edgeonnx.optimize(long, opset=13)
    assert slower(result.speed)
    assert any("lower_opset" in note and "what was asked for" in note for note in result.notes)
    assert result.problems == ()


def test_what_does_not_run_differs():
    source = build("(float[2,4] x) => (float[2,4] y) { y = Relu(x) }")
    broken = build("(float[2,4] x) => (float[2,4] y) { y = Gather(x, i) }", i=np.array([5, 5]))

    def spoil(model):
        return (broken, 1) if model is not broken else (model, 0)

    attempt = Attempt(source, Plan((), (spoil,)), frozenset(), None, [{"x": noise(2, 4)}], 1e-5)
    assert attempt.differs(attempt.made())
    assert attempt.to_leave_out(attempt.same) == {"spoil"}
    wrong = replace(attempt, samples=[{"x": noise(3, 4)}])
    with pytest.raises(ModelError, match="does not run"):
        wrong.same(source)


def test_a_result_that_differs_is_kept_apart_and_the_pass_is_named(tmp_path):
    """What was asked for is not left out."""
    fine = np.full(8, 1.0002, np.float32)  # is 1 in float16
    model = build("(float[2,8] x) => (float[2,8] y) { a = Mul(x, k) y = Sub(a, x) }", k=fine)
    with pytest.raises(DifferenceError, match=r"output y: .*--skip float16; .*--force") as raised:
        edgeonnx.optimize(model, float16=True, output=tmp_path / "o.onnx")
    assert raised.value.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["o.rejected.onnx"]
    assert raised.value.result.differs


def test_what_a_target_takes(net):
    """Its opset, its operators; and where onnxruntime's own go in, that is said."""
    relu = build("(float[N,6,8,8] x) => (float[N,4,6,6] y) { c = Conv(x, w) y = Relu(c) }", w=PARTS["w"])
    cpu = edgeonnx.optimize(relu, target="raspberrypi")
    assert operators(cpu.model) == ["FusedConv"]
    assert "--skip onnxruntime_offline" in cpu.notes[0]
    assert "not a raspberrypi" in cpu.speed_note
    plain = edgeonnx.optimize(net, target="raspberrypi", skip=["onnxruntime_offline"])
    assert "HardSwish" in operators(plain.model)
    apple = edgeonnx.optimize(net, target="apple-silicon")
    assert {node.domain for node in apple.model.ir.graph} == {""}
    new = build("(float[2,8] x) => (float[2,8] y) { y = Gelu(x) }", opset=23)
    assert edgeonnx.optimize(new, target="raspberrypi").model.opset <= 22


def test_an_operator_that_is_unknown_is_named_with_its_node():
    text = "(float[2,4] x) => (float[2,4] y) { h = Relu(x) y = com.example.Magic(h) }"
    model = proto(text, domains=["com.example"])
    model.graph.node[1].name = "trick"
    with pytest.raises(ModelError, match=r"node 'trick' is the custom operator com\.example::Magic.*--custom-op"):
        edgeonnx.optimize(Model.from_proto(model))


def test_a_random_model_is_not_compared():
    result = edgeonnx.optimize(
        build("(float[2,4] x) => (float[2,4] y) { r = RandomNormalLike(x) a = Identity(r) y = Add(x, a) }")
    )
    assert operators(result.model) == ["RandomNormalLike", "Add"]
    assert result.difference.samples == 0


def test_a_model_that_noise_does_not_fit():
    text = "(int64[2] i) => (float[2,3] y) { j = Sub(i, k) y = Gather(t, j) }"
    model = build(text, k=np.array(100), t=noise(4, 3))
    with pytest.raises(ModelError, match=r"does not run on noise.*--data"):
        edgeonnx.optimize(model)
    assert edgeonnx.optimize(model, data={"i": np.array([[100, 101], [103, 102]])}).difference.samples == 2


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        ("y = Relu(x)", "y = Relu(x)", 0.0),
        ("y = Add(x, a)", "y = Add(x, b)", np.inf),
        ("y = Cast<to = 7>(x)", "y = Cast<to = 6>(x)", np.inf),
        ("y = Neg(x)", "n = Neg(x) y = Mul(n, c)", 1e-3),
        ("y = Sqrt(x)", "y = Sqrt(x)", 0.0),
        ("y = Shape(x)", "s = Shape(x) t = Neg(s) y = Neg(t)", 0.0),
        ("y = SequenceConstruct(x, x)", "r = Relu(x) y = SequenceConstruct(x, r)", 0.41),
        ("y = SequenceConstruct(x, x)", "y = SequenceConstruct(x)", np.inf),
    ],
)
def test_how_far_outputs_are_apart(one, other, far):
    constants = {"a": np.float32(np.inf), "b": np.float32(np.nan), "c": np.float32(1.001)}
    kinds = {
        "Cast<to = 7>": "int64[2,4]",
        "Cast<to = 6>": "int32[2,4]",
        "Shape": "int64[2]",
        "Sequence": "seq(float[2,4])",
    }

    def made(body):
        kind = next((kind for part, kind in kinds.items() if part in body), "float[2,4]")
        return build(f"(float[2,4] x) => ({kind} y) {{ {body} }}", **constants)

    found = difference(made(one), made(other), [{"x": noise(2, 4)}])
    assert found.relative == pytest.approx(far, rel=0.5)


def test_free_sizes_differ_from_each_other():
    """Two that were mixed up would else look alike."""
    model = build("(float[A,B] x, float[B,C] z) => (float[A,C] y) { y = MatMul(x, z) }")
    shapes = [tuple(array.shape for array in feeds.values()) for feeds in samples_for(model, model, None)]
    assert shapes[0] == ((2, 3), (3, 5))
    assert shapes[-1] == ((1, 1), (1, 1))


def test_weights_beside_the_model(tmp_path):
    onnx.save(proto(NET, **PARTS), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    result = edgeonnx.optimize(tmp_path / "m.onnx", output=tmp_path / "o.onnx")
    assert (
        difference(Model.load(tmp_path / "m.onnx"), Model.load(result.output), [{"x": noise(1, 6, 8, 8)}]).relative
        < 1e-5
    )


def test_a_target_on_another_provider_is_not_timed_on_the_cpu():
    assert why_untimed(None) == ""
    target = load_target("intel-openvino")
    assert "OpenVINO" in why_untimed(target) if runs_here(target) else "not a intel-openvino" in why_untimed(target)
