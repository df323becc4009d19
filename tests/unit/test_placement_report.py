"""Where nodes land: asked of onnxruntime's own CPU and Azure providers, and by operator tables."""

from typing import get_args

import numpy as np
import onnx
import pytest
from models import build, convnet, noise, weight

from edgeonnx.anatomy import dissect, node_macs
from edgeonnx.errors import ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.quantize.islands import cpu_kernels
from edgeonnx.quantize.kernels import named
from edgeonnx.targets import load_target
from edgeonnx.targets.judge import judge
from edgeonnx.targets.landing import Flow
from edgeonnx.targets.operators import Limit, Reason, Table, rewrite, table_of, tables
from edgeonnx.targets.profile import Placement, Provider
from edgeonnx.verbs.placement import check_placement, placement

CPU, TENSORRT, QNN = "CPUExecutionProvider", "TensorrtExecutionProvider", "QNNExecutionProvider"


@pytest.fixture(autouse=True)
def no_interpreters(monkeypatch, tmp_path):
    """What providers say must not depend on which environments this machine has."""
    for name in ("OPENVINO", "QNN"):
        monkeypatch.setenv(f"EDGEONNX_{name}_PYTHON", str(tmp_path / "none"))


def on(providers, family="jetson-orin", **placement):
    """A target on these providers, each a name or one with its options."""
    given = tuple(Provider(name=p) if isinstance(p, str) else Provider(name=p[0], options=p[1]) for p in providers)
    update = {"providers": given, "placement": Placement(**placement)}
    return load_target(family).model_copy(update=update)


def chain(operator="Relu", **more):
    """Conv, an operator, Conv, in float, of fixed shapes."""
    text = f"""(float[1,4,8,8] x) => (float[1,4,8,8] y) {{
      [first] a = Conv <pads=[1,1,1,1]> (x, w)
      [middle] b = {operator}(a)
      [last] y = Conv <pads=[1,1,1,1]> (b, w) }}"""
    return build(text, w=weight(4, 4, 3, 3), **more)


def test_the_cpu_provider_is_asked():
    report = placement(chain(), load_target("x86-64"))
    assert (report.asked, report.accelerators, report.nodes) == (True, (), {CPU: 3})
    assert (len(report.partitions), report.copies, report.share, report.integers) == (1, 0, None, None)
    assert (report.fallbacks, report.warnings, report.refusals) == ((), (), ())


def test_another_provider_is_asked_in_a_process_of_its_own():
    """Azure's takes no node: the least share is missed, though nothing fails."""
    report = placement(chain(), on(["AzureExecutionProvider", CPU], "x86-64-vnni"), None)
    if not report.asked:
        pytest.skip("no Azure provider here, or not this kind of CPU")
    assert report.nodes == {CPU: 3}
    assert (report.share, len(report.partitions)) == (0.0, 1)
    assert [(f.name, f.provider) for f in report.fallbacks] == [("first", CPU), ("middle", CPU), ("last", CPU)]
    assert "does not say why" in report.fallbacks[0].reason
    assert report.warnings == ("0.0% of the multiply-accumulates are on AzureExecutionProvider: expected at least 90%",)


def test_a_table_tells_where_nodes_land_and_why():
    report = placement(chain("Hardmax"), on([TENSORRT, CPU]))
    assert (report.asked, report.source) == (False, "operator table tensorrt")
    assert report.nodes == {TENSORRT: 2, CPU: 1}
    assert [(run.provider, run.nodes, run.first) for run in report.partitions] == [
        (TENSORRT, 1, "first"),
        (CPU, 1, "middle"),
        (TENSORRT, 1, "last"),
    ]
    assert (report.copies, report.share) == (2, 1.0)
    (fallback,) = report.fallbacks
    assert (fallback.name, fallback.reason) == ("middle", f"{TENSORRT} has no Hardmax")
    assert "split" in fallback.rewrite
    assert report.notes == (f"{TENSORRT} was not asked: this machine is not a jetson-orin",)


def test_warnings_have_numbers():
    target = on([TENSORRT, CPU], max_partitions=2)
    assert placement(chain("Hardmax"), target).warnings == (
        "3 partitions, 2 results copied between providers: expected at most 2 partitions",
    )
    assert placement(chain("Hardmax"), on([TENSORRT, CPU], min_share=1.0)).warnings == ()
    line = build("(float[1,4,8] x) => (float[1,4,8] y) { y = Conv(x, w) }", w=weight(4, 4, 1))
    report = placement(line, on(["NnapiExecutionProvider", CPU]))
    assert report.warnings == ("0.0% of the multiply-accumulates are on NnapiExecutionProvider: expected at least 90%",)
    assert report.complaints(strict=False) == ()
    assert report.complaints(strict=True) == report.warnings
    assert report.fallbacks[0].reason == "expected an input of rank 4, got 3"


def test_free_shapes_on_an_npu():
    free = build("(float[1,4,H,8] x) => (float[1,4,H,8] y) { y = Conv <pads=[1,1,1,1]> (x, w) }", w=weight(4, 4, 3, 3))
    report = placement(free, load_target("qualcomm-hexagon"))
    assert report.refusals and "expected numbers in every dimension" in report.refusals[0]
    assert report.complaints(strict=False) == report.refusals
    assert report.nodes == {CPU: 1}
    (fallback,) = report.fallbacks
    assert "has a free dimension" in fallback.reason
    assert "make_dynamic_shape_fixed" in fallback.rewrite


def test_a_free_batch_is_fixed_as_packaging_does():
    report = placement(build("(float[N,4] x) => (float[N,4] y) { y = Relu(x) }"), load_target("qualcomm-hexagon"))
    assert (report.nodes, report.refusals) == ({QNN: 1}, ())


@pytest.mark.parametrize("target", ["x86-64", "qualcomm-hexagon"])
def test_an_unknown_domain(target):
    model = build("(float[1,4] x) => (float[1,4] y) { a = Relu(x) y = my.Thing(a) }", domains=["my"])
    report = placement(model, load_target(target))
    assert "got my" in report.refusals[0]
    assert report.nodes[""] == 1
    if target != "x86-64":
        (fallback,) = report.fallbacks
        assert (fallback.op_type, fallback.provider) == ("Thing", "")
        assert "standard operators" in fallback.rewrite


def test_what_is_not_known_is_an_error_not_a_guess():
    with pytest.raises(TargetError, match=r"what OpenVINOExecutionProvider \(device_type=NPU\) takes is not known"):
        check_placement(chain(), "intel-openvino-npu")
    with pytest.raises(TargetError, match="no such target"):
        check_placement(chain(), "rasberrypi")


def test_not_a_model(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\x00junk")
    with pytest.raises(ModelError, match="not an ONNX model"):
        check_placement(tmp_path / "a.onnx", "x86-64")


def test_a_provider_without_a_table_behind_one_that_has_it():
    report = placement(chain("Hardmax"), load_target("jetson-orin"))
    assert report.nodes == {TENSORRT: 2, CPU: 1}
    assert "CUDAExecutionProvider may take more: there is no operator table of it" in report.notes


def quantized(kind="Conv", zero=3):
    """Conv, an activation and a Conv, with conversions around each."""
    ints = {"s": np.float32(0.1), "z": np.uint8(zero), "ws": np.float32(0.01), "wz": np.int8(0)}
    ints["w"] = (noise(4, 4, 3, 3) * 30).astype(np.int8)
    text = f"""(float[1,4,8,8] x) => (float[1,4,8,8] y) {{
      xq = QuantizeLinear(x, s, z)  xd = DequantizeLinear(xq, s, z)  wd = DequantizeLinear(w, ws, wz)
      [conv] a = Conv <pads=[1,1,1,1]> (xd, wd)  aq = QuantizeLinear(a, s, z)  ad = DequantizeLinear(aq, s, z)
      [middle] b = {kind}(ad)  bq = QuantizeLinear(b, s, z)  bd = DequantizeLinear(bq, s, z)
      vd = DequantizeLinear(w, ws, wz)
      [last] c = Conv <pads=[1,1,1,1]> (bd, vd)  cq = QuantizeLinear(c, s, z)  y = DequantizeLinear(cq, s, z) }}"""
    return build(text, **ints)


def test_integer_kernels_and_islands_on_the_cpu():
    report = placement(quantized("Erf"), load_target("x86-64"))
    assert report.integers.kernels["QLinearConv"] == 2
    assert report.integers.share == 1.0
    assert [(i.name, i.op_type, i.quantized) for i in report.integers.islands] == [("middle", "Erf", False)]
    assert report.warnings == ()
    assert placement(quantized("Sigmoid"), load_target("x86-64")).integers.islands == ()


def test_integer_weights_computed_in_float_are_a_warning():
    """The CPU provider has no integer kernel for ConvTranspose."""
    model = quantized("Erf")
    for node in model.ir.graph:
        if node.name == "last":
            node.op_type = "ConvTranspose"
    report = placement(model, load_target("x86-64"))
    assert report.integers.kernels["QLinearConv"] == 1
    assert report.integers.share == pytest.approx(0.5)
    assert ("last", True) in [(i.name, i.quantized) for i in report.integers.islands]
    assert report.warnings == ("1 nodes with integer weights are computed in float: ConvTranspose last; expected none",)


def test_types_of_conversions_decide_where_they_land():
    """TensorRT takes int8 with a zero point of 0; with others each conversion is a way to the CPU and back."""
    report = placement(quantized("Relu"), on([TENSORRT, CPU]))
    kinds = {fallback.op_type for fallback in report.fallbacks}
    assert kinds == {"QuantizeLinear", "DequantizeLinear"}
    assert len(report.partitions) > 5
    assert any("partitions" in warning for warning in report.warnings)
    assert all("edgeonnx quantize --target" in fallback.rewrite for fallback in report.fallbacks)


def test_a_group_is_taken_as_a_whole():
    """XNNPACK has no conversions by themselves, and takes those around a Conv with it."""
    report = placement(quantized("Erf"), on(["XnnpackExecutionProvider", CPU]))
    assert {fallback.op_type for fallback in report.fallbacks} == {"QuantizeLinear", "Erf", "DequantizeLinear"}
    assert report.share == 1.0
    fused = placement(chain("Relu"), on(["XnnpackExecutionProvider", CPU]))
    assert fused.nodes == {"XnnpackExecutionProvider": 3}
    alone = placement(build("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }"), on(["XnnpackExecutionProvider", CPU]))
    assert alone.nodes == {CPU: 1}


def judged(text, limit, opset=17, **weights):
    model = build(text, opset=opset, **weights)
    flow = Flow(model.ir.graph, opset)
    node = model.ir.graph[-1]
    table = Table(provider="Some", operators={node.op_type}, limits={node.op_type: limit}, sources=(), name="some")
    return judge(table, node, opset, flow.constant)


LAST_AXIS = Limit(attributes={"axis": (-1,)})


@pytest.mark.parametrize(
    "text, limit, reason",
    [
        ("(float[1,4] x, float[4,4] w) => (float[1,4] y) { y = MatMul(x, w) }", Limit(constant=(1,)), "constant"),
        ("(float[1,4] x) => (float[1,4] y) { y = Softmax <axis=0> (x) }", LAST_AXIS, "attribute"),
        ("(float[1,4] x) => (float[1,4] y) { y = Softmax <axis=1> (x) }", LAST_AXIS, None),
        ("(float[1,4] x) => (float[1,4] y) { y = Softmax (x) }", LAST_AXIS, None),
        ("(float[1,4] x) => (float[1,4] y) { y = Elu (x) }", Limit(attributes={"alpha": (2.0,)}), "attribute"),
        ("(double[1,4] x) => (double[1,4] y) { y = Relu (x) }", Limit(types=("float32",)), "type"),
        ("(float[1,4] x) => (float[1,4] y) { y = Relu (x) }", Limit(ranks=(4,)), "rank"),
        ("(float[4] x, int64[1] k) => (float[K] y, int64[K] i) { y, i = TopK(x, k) }", Limit(outputs=1), "output"),
    ],
)
def test_limits(text, limit, reason):
    found = judged(text, limit)
    assert (None if found is None else found.reason) == reason


def test_every_shipped_table_names_operators_that_exist():
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    # Of onnxruntime, and of ONNX before it had versions.
    known |= {"ImageScaler"}
    for table in tables():
        standard = {name for name in table.operators if "::" not in name}
        assert standard <= known, table.name
        assert set(table.limits) <= table.operators and set(table.groups) <= table.operators
        assert all(source.url.startswith("https://") for source in table.sources) and table.sources


def test_every_reason_has_a_rewrite():
    for reason in get_args(Reason):
        assert rewrite(reason, "Conv", QNN)


@pytest.mark.parametrize(
    "name, options, table",
    [
        ("CoreMLExecutionProvider", {}, "coreml-neuralnetwork"),
        ("CoreMLExecutionProvider", {"ModelFormat": "MLProgram"}, "coreml-mlprogram"),
        ("OpenVINOExecutionProvider", {"device_type": "GPU.0"}, "openvino-gpu"),
        (QNN, {"backend_path": "/opt/libQnnHtp.so"}, "qnn-htp"),
        (QNN, {"backend_type": "htp"}, "qnn-htp"),
    ],
)
def test_the_table_follows_the_options(name, options, table):
    assert table_of(Provider(name=name, options=options)).name == table


def test_no_table_for_a_backend_that_is_not_known():
    assert table_of(Provider(name=QNN, options={"backend_type": "gpu"})) is None


def test_macs_by_node_add_up():
    model = Model.from_proto(convnet())
    assert sum(node_macs(model)) == dissect(model).macs > 0


def test_long_chains_and_wide_graphs_are_no_trouble():
    lines = " ".join(f"v{i + 1} = {'Relu' if i % 2 else 'Hardmax'}(v{i})" for i in range(1500))
    model = build(f"(float[1,4] v0) => (float[1,4] v1500) {{ {lines} }}")
    report = placement(model, on([TENSORRT, CPU]))
    assert (len(report.partitions), report.copies) == (1500, 1499)


def test_branches_on_one_provider_are_one_partition():
    text = """(float[1,4] x) => (float[1,4] y) {
      a = Relu(x) b = Hardmax(x) c = Tanh(a) d = Hardmax(b) y = Add(c, d) }"""
    report = placement(build(text), on([TENSORRT, CPU]))
    assert [(run.provider, run.nodes) for run in report.partitions] == [(TENSORRT, 2), (CPU, 2), (TENSORRT, 1)]


def test_graphs_within_nodes_count_as_their_node():
    text = """(bool c, float[1,4] x) => (float[1,4] y) {
      a = Relu(x)
      y = If(c) <then_branch = t () => (float[1,4] p) { p = Tanh(a) },
                 else_branch = e () => (float[1,4] q) { q = Hardmax(a) }>
    }"""
    report = placement(build(text), on(["NnapiExecutionProvider", CPU]))
    assert report.nodes == {"NnapiExecutionProvider": 1, CPU: 1}
    assert (len(report.partitions), report.copies) == (2, 1)


def test_kernels_on_arm_take_int8_as_it_is():
    found = cpu_kernels(named(quantized("Sigmoid")), arm=True)
    assert found.integer["QLinearConv"] == 2
    assert {"conv", "middle", "last"} <= found.names


def test_functions_are_looked_into():
    function = '<domain: "my", opset_import: ["" : 17]> twice (x) => (y) { a = Relu(x) y = Hardmax(a) }'
    model = build("(float[1,4] x) => (float[1,4] y) { y = my.twice(x) }", domains=["my"], functions=[function])
    assert placement(model, on([TENSORRT, CPU])).nodes == {TENSORRT: 1, CPU: 1}
