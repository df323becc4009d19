"""Keras models, SavedModels and TFLite models, as ONNX, beside TensorFlow."""

import numpy as np
import pytest

import edgeonnx
from edgeonnx.convert.tflite import TFLite
from edgeonnx.errors import ConvertError, DifferenceError
from edgeonnx.model import Model
from edgeonnx.quiet import quiet
from tests.convert.conftest import framework

tf = framework("tensorflow")
keras = framework("keras")
framework("tf2onnx")
framework("ai_edge_litert.interpreter")
pytestmark = pytest.mark.slow
layers = keras.layers


def sequential(shape, *stack, name="image", **more):
    with quiet():
        return keras.Sequential([keras.Input(shape, name=name, **more), *stack])


def pictures():
    stack = (layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.GlobalAveragePooling2D())
    return sequential((16, 16, 3), *stack, layers.Dense(5, activation="softmax", name="probs"))


def functional(named):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    total, both = layers.Add(name="adder")([a, b]), layers.Concatenate(name="cat")([a, b])
    if named:
        return keras.Model({"a": a, "b": b}, {"sum": total, "both": both})
    return keras.Model([a, b], [layers.Dense(3, name="score")(total), both])


def swapped():
    wide, narrow = keras.Input((4,), name="a"), keras.Input((3,), name="z")
    outputs = [layers.Dense(2, name="left")(wide), layers.Dense(2, name="right")(narrow)]
    return keras.Model({"z": narrow, "a": wide}, outputs)


def attention():
    seq = keras.Input((6, 16), name="seq")
    return keras.Model(seq, layers.LayerNormalization(name="norm")(layers.MultiHeadAttention(2, 8)(seq, seq)))


TOKENS = (layers.Embedding(10, 4), layers.LSTM(5), layers.Dense(2, name="out"))
SOUND = (layers.Conv1D(4, 3, padding="same"), layers.Bidirectional(layers.GRU(5, return_sequences=True), name="both"))
POOLED = (layers.SeparableConv2D(4, 3), layers.Activation("swish"), layers.GlobalMaxPooling2D(name="pooled"))
CASES = {
    "pictures": (pictures, [], ["image: float32[?,16,16,3]"], ["probs: float32[?,5]"]),
    "texts": (
        lambda: sequential((7,), *TOKENS, name="tokens", dtype="int32"),
        ["tokens:0=batch"],
        ["tokens: int32[batch,7]"],
        ["out: float32[?,2]"],
    ),
    "sound of any length": (
        lambda: sequential((None, 3), *SOUND, name="sound"),
        ["sound:0=batch,1=time"],
        ["sound: float32[batch,time,3]"],
        ["both: float32[?,?,10]"],
    ),
    "sizes freed": (
        lambda: sequential((16, 16, 3), *POOLED),
        ["image:1=height,2=width"],
        ["image: float32[?,height,width,3]"],
        ["pooled: float32[?,4]"],
    ),
    "two inputs and outputs": (
        lambda: functional(False),
        ["a:0=n", "b:0=n"],
        ["a: float32[n,4]", "b: float32[n,4]"],
        ["score: float32[?,3]", "cat: float32[?,8]"],
    ),
    "dicts": (
        lambda: functional(True),
        [],
        ["a: float32[?,4]", "b: float32[?,4]"],
        ["sum: float32[?,4]", "both: float32[?,8]"],
    ),
    "a dict in another order": (
        swapped,
        [],
        ["a: float32[?,4]", "z: float32[?,3]"],
        ["left: float32[?,2]", "right: float32[?,2]"],
    ),
    "names made up": (
        lambda: sequential((4,), layers.Normalization(mean=1.0, variance=2.0, name="norm"), name=None),
        ["input:0=n"],
        ["input: float32[n,4]"],
        ["norm: float32[?,4]"],
    ),
    "attention": (attention, [], ["seq: float32[?,6,16]"], ["norm: float32[?,6,16]"]),
}


@pytest.mark.parametrize(("build", "dynamic", "inputs", "outputs"), CASES.values(), ids=CASES)
def test_a_keras_model(build, dynamic, inputs, outputs):
    result = edgeonnx.convert(build(), dynamic=dynamic)
    assert [str(one) for one in result.inputs] == inputs
    assert [str(one) for one in result.outputs] == outputs
    assert max(one.relative for one in result.differences) < 1e-5
    assert all(len(sizes) == 2 for sizes in result.sizes.values())
    assert (result.opset, result.model.ir_version, result.notes) == (18, 8, ())


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def test_a_model_that_declares_no_inputs():
    with pytest.raises(ConvertError, match="does not declare its inputs"):
        edgeonnx.convert(Own())
    result = edgeonnx.convert(Own(), np.ones((2, 4), np.float32))
    assert [str(one) for one in result.inputs] == ["input_0: float32[?,4]"]


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_keras_file(name, tmp_path):
    with quiet():
        pictures().save(tmp_path / name)
    result = edgeonnx.convert(tmp_path / name, output=tmp_path / "m.onnx")
    assert [str(one) for one in result.outputs] == ["probs: float32[?,5]"]
    assert result.framework.startswith("Keras 3")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_lambda_layer_is_code(name, tmp_path):
    with quiet():
        sequential((4,), layers.Lambda(lambda x: x * 2), name="x").save(tmp_path / name)
    with pytest.raises(ConvertError, match=r"it holds a Lambda layer, which is code; .* add --trust"):
        edgeonnx.convert(tmp_path / name)
    assert edgeonnx.convert(tmp_path / name, trust=True).problems == ()


def test_keras_files_that_are_none(tmp_path):
    with quiet():
        sequential((4,), layers.Dense(2), name="x").save_weights(tmp_path / "m.weights.h5")
        keras.Sequential([keras.Input((4,)), Own()]).save(tmp_path / "own.keras")
    (tmp_path / "text.keras").write_text("To be trained on Monday.")
    with pytest.raises(ConvertError, match=r"it holds weights alone; give FILE.py:FUNC"):
        edgeonnx.convert(tmp_path / "m.weights.h5")
    with pytest.raises(ConvertError, match=r"it has classes of your own; give FILE.py:FUNC"):
        edgeonnx.convert(tmp_path / "own.keras")
    with pytest.raises(ConvertError, match=r"text.keras can't be read as a Keras model"):
        edgeonnx.convert(tmp_path / "text.keras")


class Several(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def score(self, x):
        return {"z": x @ self.weight, "a": tf.reduce_sum(x, -1)}

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="x")])
    def fixed(self, x):
        return {"z": x @ self.weight}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def counting(self, x):
        self.weight.assign_add(tf.ones((4, 3)))
        return {"z": x @ self.weight}

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4], tf.float32, name="x")])
    def unsupported(self, x):
        return {"s": tf.linalg.svd(x)[0]}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder, module = tmp_path_factory.mktemp("saved") / "several", Several()
    signatures = {"score": module.score, "fixed": module.fixed, "unsupported": module.unsupported}
    signatures["counting"] = module.counting
    with quiet():
        tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def test_a_saved_model(several, tmp_path):
    result = edgeonnx.convert(several, signature="score", dynamic=["x:0=batch"], output=tmp_path / "m.onnx")
    assert [str(one) for one in result.inputs] == ["x: float32[batch,4]"]
    assert [str(one) for one in result.outputs] == ["a: float32[?]", "z: float32[?,3]"]
    assert result.sizes == {"batch": (2, 3)}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "no signature 'serving_default'; choose with --signature: .*score"),
        ({"signature": "scores"}, "no signature 'scores'; Near: score"),
        ({"signature": "fixed", "dynamic": ["x:0=n"]}, "x:0 is fixed at 1 in the source"),
        ({"signature": "unsupported"}, r"operators have no form in ONNX: Svd \(node \S*Svd\)"),
        (
            {"signature": "counting"},
            r"changes a variable while it runs \(AssignAddVariableOp\), and an ONNX model keeps",
        ),
        ({"signature": "score", "opset": 21}, "tf2onnx writes opsets 14 to 18, got --opset 21"),
        ({"signature": "score", "data": {"x": np.zeros((3, 2, 5), np.float32)}}, "expected"),
    ],
)
def test_a_saved_model_that_does_not_fit(several, settings, said):
    with pytest.raises(edgeonnx.EdgeonnxError, match=said) as caught:
        edgeonnx.convert(several, **settings)
    assert len(str(caught.value).splitlines()) == 1


def test_a_saved_model_without_signatures(tmp_path):
    with quiet():
        tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(ConvertError, match="it has no signatures; save it with signatures="):
        edgeonnx.convert(tmp_path / "m")


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """A TFLite model in float and in INT8."""
    folder, rng = tmp_path_factory.mktemp("lite"), np.random.default_rng(0)
    with quiet():
        pictures().export(str(folder / "saved"), verbose=False)
        (folder / "float.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.random((1, 16, 16, 3), np.float32)] for _ in range(20))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        (folder / "int8.tflite").write_bytes(converter.convert())
    return folder


def test_a_tflite_model(lite):
    result = edgeonnx.convert(lite / "float.tflite", dynamic=["image:0=batch"])
    assert [str(one) for one in (*result.inputs, *result.outputs)] == [
        "image: float32[batch,16,16,3]",
        "output_0: float32[?,5]",
    ]
    assert result.differences[0].relative < 1e-5
    assert result.notes == ()


def test_a_quantized_tflite_model(lite):
    result = edgeonnx.convert(lite / "int8.tflite")
    assert [str(one) for one in (*result.inputs, *result.outputs)] == ["image: int8[?,16,16,3]", "output_0: int8[?,5]"]
    assert result.differences[0].largest <= 1
    assert "it is quantized already" in result.notes[0]
    assert "QuantizeLinear" in {node.op_type for node in result.model.ir.graph}
    with pytest.raises(edgeonnx.EdgeonnxError, match="is quantized already"):
        edgeonnx.quantize(result.model, {"image": np.zeros((4, 1, 16, 16, 3), np.int8)})


@pytest.fixture(scope="module")
def steep(tmp_path_factory):
    """A deep INT8 model whose last layer makes much of a step, and one of 8-bit weights alone."""
    folder, rng = tmp_path_factory.mktemp("steep"), np.random.default_rng(0)
    with quiet():
        keras.utils.set_random_seed(0)
        convs = [layers.Conv2D(16, 3, padding="same", activation="relu") for _ in range(6)]
        model = sequential((16, 16, 3), *convs, layers.Flatten(), layers.Dense(10, activation="softmax"))
        weights, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([weights * 100, bias])
        model.export(str(folder / "saved"), verbose=False)
        for name in ("int8", "weights"):
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if name == "int8":
                converter.representative_dataset = lambda: ([rng.random((1, 16, 16, 3), np.float32)] for _ in range(20))
                converter.inference_input_type = converter.inference_output_type = tf.int8
            (folder / f"{name}.tflite").write_bytes(converter.convert())
    return folder


def test_a_quantized_model_is_as_far_off_as_kernels_of_litert_are(steep, monkeypatch):
    result = edgeonnx.convert(steep / "int8.tflite")
    assert result.differences[0].largest > 1, "the model is not steep enough to show anything"
    monkeypatch.setattr(TFLite, "elsewhere", lambda *_: None)
    with pytest.raises(DifferenceError, match="elements are not those of LiteRT"):
        edgeonnx.convert(steep / "int8.tflite")


def test_weights_of_8_bits_alone(steep):
    with pytest.raises(DifferenceError, match="LiteRT rounds what they are multiplied with to 8 bits too"):
        edgeonnx.convert(steep / "weights.tflite")
    assert "no faster than in float" in edgeonnx.convert(steep / "weights.tflite", tolerance=1).notes[0]


def test_a_tflite_file_that_is_none(tmp_path):
    (tmp_path / "m.tflite").write_text("To be converted on Monday.")
    with pytest.raises(ConvertError, match=r"m.tflite can't be read as a TFLite model"):
        edgeonnx.convert(tmp_path / "m.tflite")


def test_a_converted_model_goes_on_to_a_bundle(lite, tmp_path):
    result = edgeonnx.convert(lite / "float.tflite", output=tmp_path / "m.onnx")
    assert edgeonnx.package(Model.load(result.output), "raspberrypi", tmp_path / "m.edge").path.exists()
