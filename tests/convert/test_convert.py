"""What is said of every source: axes, comparison, the verb, and what is refused; no framework is needed."""

import json
from importlib.util import find_spec

import numpy as np
import onnx
import pytest

import edgeonnx
from edgeonnx.convert import Comparison, Source, checked, conversion_of, read_axes
from edgeonnx.convert.source import need
from edgeonnx.errors import ConvertError, DifferenceError, ModelError, OutputError
from edgeonnx.model import Model, TensorSpec
from tests.cli.models import linear, noise, write_model

INPUTS = (TensorSpec("x:0", "float32", (1, 3, "s1")), TensorSpec("mask", "bool", None))


class Doubling(Source):
    """A framework of one operation, y = 2 x + off, that takes rows of three and, if `even`, an even number of them."""

    name, framework, exporter = "doubling", "numpy", "by hand"
    inputs = (TensorSpec("x", "float32", (None, 3)),)

    def __init__(self, off=0.0, even=False, graph="{ two = Constant <value_float = 2.0> () y = Mul(x, two) }"):
        self.off, self.even, self.graph = off, even, graph

    def export(self, opset, axes):
        text = f'<ir_version: 8, opset_import: ["" : {opset}]> graph (float[N,3] x) => (float[N,3] y) {self.graph}'
        return Model.from_proto(onnx.parser.parse_model(text))

    def run(self, feeds):
        if self.even and len(feeds["x"]) % 2:
            raise ConvertError("expected an even number of rows")
        return (feeds["x"] * 2 + np.float32(self.off),)


@pytest.fixture
def source(monkeypatch):
    """Puts a source of this file in place of one of a framework."""

    def put(**settings):
        monkeypatch.setattr("edgeonnx.verbs.convert.open_source", lambda *_: Doubling(**settings))

    return put


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("image:0=batch", {"image": {0: "batch"}}),
        ("x:0=batch, 2=height,-1=w", {"x": {0: "batch", 2: "height", -1: "w"}}),
        ("serving:0:1=n", {"serving:0": {1: "n"}}),
    ],
)
def test_axes_are_read(text, found):
    assert read_axes([text]) == found


@pytest.mark.parametrize("text", ["image", "image:", ":0=n", "image:batch", "image:0=", "image:0=7", "image:0=a b"])
def test_axes_that_do_not_parse(text):
    with pytest.raises(ConvertError, match="expected INPUT:AXIS=NAME"):
        read_axes([text])


def test_axes_are_counted_from_the_front():
    assert checked({"x:0": {-1: "w", 0: "n"}, "mask": {5: "t"}}, INPUTS) == {"x:0": {2: "w", 0: "n"}, "mask": {5: "t"}}


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"x": {0: "n"}}, r"no input 'x'. Near: x:0"),
        ({"x:0": {3: "n"}}, "x:0 has 3 axes, 0 to 2; got axis 3"),
        ({"x:0": {-4: "n"}}, "got axis -4"),
        ({"x:0": {0: "n", -3: "m"}}, "x:0:0 is named both n and m"),
        ({"x:0": {0: "1"}}, "expected a name of letters, digits and _"),
    ],
)
def test_axes_that_are_none(axes, said):
    with pytest.raises(ConvertError, match=said):
        checked(axes, INPUTS)


@pytest.mark.parametrize(
    ("wanted", "got", "slack", "within", "largest", "unequal"),
    [
        (np.float32([1, 2]), np.float32([1, 2.0001]), 0, True, 1e-4, 1),
        (np.float32([1, 2]), np.float32([1, 2.001]), 0, False, 1e-3, 1),
        (np.float32([1, 2]), np.float32([1, 2.001]), 0.01, True, 1e-3, 1),
        (np.float32([1e-9]), np.float32([2e-9]), 0, True, 1e-9, 1),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), 0, True, 0, 0),
        (np.float32([np.nan, 1]), np.float32([0, 1]), 0, False, np.inf, 1),
        (np.float32([np.inf, 1]), np.float32([-np.inf, 1]), 0, False, np.inf, 1),
        (np.int8([1, 2]), np.int8([1, 3]), 0, False, 1, 1),
        (np.int8([1, 2]), np.int8([1, 3]), 1, True, 1, 1),
        (np.array(["a", "b"]), np.array(["a", "b"], object), 0, True, 0, 0),
        (np.array(["a", "b"]), np.array(["a", "c"], object), 0, False, 0, 1),
        (np.array([True]), np.array([False]), 0, False, 0, 1),
        (np.zeros(3, np.float32), np.zeros((3, 1), np.float32), 0, True, 0, 0),
        (np.zeros(3, np.float32), np.zeros(4, np.float32), 0, False, np.inf, 3),
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), 0, True, 0, 0),
    ],
)
def test_outputs_are_compared(wanted, got, slack, within, largest, unequal):
    comparison = Comparison("y", 1e-4, slack)
    comparison.add(wanted, got)
    found = comparison.result()
    assert (found.within, found.unequal, found.elements) == (within, unequal, wanted.size)
    assert found.largest == pytest.approx(largest, rel=2e-3)


def test_a_model_as_its_source(source, tmp_path):
    source()
    result = edgeonnx.convert("any", output=tmp_path / "m.onnx")
    assert (result.output, result.problems, result.samples) == (tmp_path / "m.onnx", (), 9)
    assert result.sizes == {"N": (2, 3)}
    assert [(one.output, one.largest) for one in result.differences] == [("y", 0.0)]
    assert conversion_of(Model.load(result.output))["differences"] == {"y": 0.0}
    assert Model.load(result.output).record is None  # quantize and package take it for a model of no record


def test_a_model_that_differs_is_kept_apart(source, tmp_path):
    source(off=0.5)
    with pytest.raises(DifferenceError, match=r"y is up to 0\.5 off numpy, .*m\.rejected\.onnx.*--force") as caught:
        edgeonnx.convert("any", output=tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.rejected.onnx"]
    assert caught.value.exit_code == 1
    assert caught.value.result.differences[0].largest == pytest.approx(0.5)
    forced = edgeonnx.convert("any", output=tmp_path / "m.onnx", force=True)
    assert forced.output == tmp_path / "m.onnx"
    assert forced.problems
    assert not edgeonnx.convert("any", tolerance=1).problems


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_a_tolerance_that_is_none(source, tolerance):
    source()
    with pytest.raises(ConvertError, match="tolerance: expected a number of 0 or more, got"):
        edgeonnx.convert("any", tolerance=tolerance)


def test_a_signature_where_there_are_none(tmp_path):
    with pytest.raises(ConvertError, match="SavedModels and TFLite models alone have some; leave 'x' out"):
        edgeonnx.convert(tmp_path / "m.onnx", signature="x")


def test_kernels_that_differ_widen_the_slack():
    comparison = Comparison("y", 1e-4, slack=1)
    comparison.add(np.int8([10]), np.int8([13]), np.int8([11]))
    assert comparison.result().within
    comparison.add(np.int8([10]), np.int8([14]), np.int8([11]))
    assert not comparison.result().within


def test_half_precision_has_a_tolerance_of_its_own():
    for dtype, within in ((np.float16, True), (np.float32, False)):
        comparison = Comparison("y", 1e-4)
        comparison.add(dtype([1]), dtype([1.001]))
        assert comparison.result().within is within


def test_a_model_for_one_size_alone(source):
    fixed = "{ shape = Constant <value_ints = [2, 3]> () z = Reshape(x, shape) y = Add(z, z) }"
    source(graph=fixed)
    with pytest.raises(DifferenceError, match="onnxruntime does not run it at N=3, numpy does"):
        edgeonnx.convert("any")
    source(graph=fixed, even=True)
    with pytest.raises(DifferenceError, match="onnxruntime does not run it at N=4, numpy does"):
        edgeonnx.convert("any")


def test_a_source_of_even_sizes(source):
    source(even=True)
    result = edgeonnx.convert("any", data={"x": noise(6, 2, 3)}, samples=4)
    assert (result.samples, result.sizes, result.notes) == (5, {"N": (2, 4)}, ())
    with pytest.raises(ConvertError, match="even number of rows"):
        edgeonnx.convert("any", data={"x": noise(2, 1, 3)})


def test_onnx_passes_through(tmp_path):
    given = linear(tmp_path / "m.onnx")
    result = edgeonnx.convert(given, output=tmp_path / "n.onnx", dynamic=["x:0=batch"])
    assert (result.exporter, result.opset, result.differences) == (None, 17, ())
    assert [str(one) for one in (*result.inputs, *result.outputs)] == ["x: float32[batch,4]", "y: float32[batch,3]"]
    feeds = {"x": noise(2, 4)}
    one, other = (Model.load(path).session().run(None, feeds)[0] for path in (given, result.output))
    assert (one == other).all()
    assert edgeonnx.convert(given, opset=17).opset == 17


def test_onnx_that_is_not_as_asked(tmp_path):
    given = write_model(tmp_path / "m.onnx", "(float[2,4] x) => (float[2,4] y) { y = Relu(x) }")
    with pytest.raises(ConvertError, match="of opset 17; leave --opset out"):
        edgeonnx.convert(given, opset=18)
    with pytest.raises(ConvertError, match="x:0 is fixed at 2 in the source"):
        edgeonnx.convert(given, dynamic=["x:0=batch"])
    with pytest.raises(OutputError, match="is the file to read from"):
        edgeonnx.convert(given, output=given)
    (tmp_path / "text.onnx").write_text("To be exported on Monday.")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        edgeonnx.convert(tmp_path / "text.onnx")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.keras", "none.keras does not exist"),
        ("weights.pt", "holds weights or a pickled module; give FILE.py:FUNC"),
        ("weights.pth", "holds weights or a pickled module"),
        ("graph.pb", "save a SavedModel"),
        ("notes.txt", "expected a .pt2 program"),
        ("m.onnx.gz", "unpack it first"),
        ("m.mlmodel", "give the model that it was made from"),
        ("m.gguf", "it holds weights alone; give FILE.py:FUNC"),
        ("m.ubj", "registered: see docs/convert.md"),
        ("empty.onnx", "is empty; copy or export it again"),
        ("hugging", "a Hugging Face folder holds weights and settings"),
        ("folder", "expected a SavedModel, got a folder without saved_model.pb"),
        ("code.py:nothing", "nothing does not exist. Known: text"),
        ("code.py:text", "expected a torch.nn.Module, a Keras model, a scikit-learn estimator or a function"),
        ("code.py", "name the function too"),
        ("p.pkl", "a pickle runs the code that is in it"),
    ],
)
def test_what_is_no_source(tmp_path, name, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "hugging").mkdir()
    (tmp_path / "hugging/config.json").write_text("{}")
    files = "weights.pt weights.pth graph.pb notes.txt p.pkl m.onnx.gz m.mlmodel m.gguf m.ubj"
    for file in files.split():
        (tmp_path / file).write_text("x")
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "code.py").write_text("def text(): return 'model', 1\n")
    with pytest.raises(ConvertError, match=said):
        edgeonnx.convert(str(tmp_path / name))


def test_an_exporter_that_is_not_installed():
    with pytest.raises(ConvertError, match=r"needs no_such_exporter, .* pip install 'edgeonnx\[torch\]'"):
        need("torch", "json", "no_such_exporter.deep")


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="TensorFlow is installed here")
def test_a_source_whose_framework_is_not_installed(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"x")
    with pytest.raises(ConvertError, match=r"pip install 'edgeonnx\[tensorflow\]'"):
        edgeonnx.convert(tmp_path / "m.tflite")


def test_a_metadata_entry_that_is_none(tmp_path):
    model = Model.load(linear(tmp_path / "m.onnx"))
    assert conversion_of(model) is None
    model.ir.metadata_props["edgeonnx.conversion"] = json.dumps(3)
    assert conversion_of(model) is None
