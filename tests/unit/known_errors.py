"""Provokes the errors that `targets/facts/errors.toml` explains: one function for each, under its name."""

import ctypes
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from models import convnet, noise, proto, weight
from onnx import helper, numpy_helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
from onnxruntime.quantization import quantize_dynamic as dynamic
from onnxruntime.quantization import quantize_static as static  # noqa: TID251  its errors are looked for
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests import native

CASES = {}
OWN = "(float[N,4] x) => (float[N,3] y) { h = my.own(x) p = MatMul(h, w) y = Relu(p) }"
FILLED = "(int64[N] s) => (float[A,B] y) { y = ConstantOfShape(s) }"
TWO = "(float[A,B] a, float[C,D] b) => (float[E,F] y)"


def case(function):
    """A case takes a folder of its own, and raises or logs its error."""
    CASES[function.__name__.replace("_", "-")] = function
    return function


class Reader(CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter(samples)

    def get_next(self):
        return next(self.samples, None)


def linear(**more):
    return proto("(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", w=weight(4, 3), **more)


def session(model, options=None):
    """A session of a model, its bytes or its path."""
    source = model if isinstance(model, bytes | str) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def run(text, feeds, **weights):
    return session(proto(text, **weights)).run(None, feeds)


def quantize(folder, how, model, *samples, **more):
    onnx.save(model, folder / "float.onnx")
    readers = [Reader(samples)] if how is static else []
    how(folder / "float.onnx", folder / "int8.onnx", *readers, **more)


def beside(folder):
    """A model with its weights in a file beside it."""
    onnx.save(linear(), folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    return folder / "m.onnx"


@case
def opset_too_new(folder):
    session(linear(opset=60))


@case
def ir_version_too_new(folder):
    session(linear(ir_version=40))


@case
def no_kernel(folder):
    one = np.ones((1, 1, 3, 3), np.float64)
    session(proto("(double[1,1,4,4] x) => (double[1,1,6,6] y) { y = ConvTranspose(x, w) }", w=one))


@case
def no_such_operator(folder):
    session(proto("(float[N,4] x) => (float[N,4] y) { y = Gelu(x) }", opset=17))


@case
def extensions_missing(folder):
    text = "(string[N] x) => (string[N] y) { y = ai.onnx.contrib.StringUpper(x) }"
    session(proto(text, domains=("ai.onnx.contrib",)))


@case
def custom_operator(folder):
    session(proto(OWN, w=weight(4, 3), domains=("my",)))


@case
def domain_twice(folder):
    options, library = ort.SessionOptions(), native.median_filter(folder)
    shutil.copy(library, folder / "libother.so")
    for path in (library, folder / "libother.so"):
        options.register_custom_ops_library(str(path))
    ort.InferenceSession(linear().SerializeToString(), options, providers=["CPUExecutionProvider"])


@case
def custom_library_missing(folder):
    ort.SessionOptions().register_custom_ops_library(str(folder / "libops.so"))


@case
def custom_library_without_entry(folder):
    ort.SessionOptions().register_custom_ops_library(np.linalg._umath_linalg.__file__)


@case
def custom_library_too_new(_folder):
    library = ctypes.CDLL(next((Path(ort.__file__).parent / "capi").glob("libonnxruntime.so.1*")))
    library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32))
    library.OrtGetApiBase()[0](999)


@case
def custom_library_symbol(folder):
    library = Path(np.linalg._umath_linalg.__file__).read_bytes()
    (folder / "libops.so").write_bytes(library.replace(b"\0PyErr_", b"\0Nobody"))
    ort.SessionOptions().register_custom_ops_library(str(folder / "libops.so"))


@case
def external_data_outside(folder):
    path = beside(folder)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../m.data"
    path.write_bytes(model.SerializeToString())
    session(str(path))


@case
def external_data_of_bytes(folder):
    session(beside(folder).read_bytes())


@case
def external_data_missing(folder):
    path = beside(folder)
    (folder / "m.data").unlink()
    session(str(path))


@case
def external_data_short(folder):
    path = beside(folder)
    (folder / "m.data").write_bytes(b"short")
    session(str(path))


@case
def no_such_file(folder):
    session(str(folder / "nowhere.onnx"))


@case
def not_onnx(folder):
    (folder / "m.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    session(str(folder / "m.onnx"))


@case
def no_graph(folder):
    (folder / "m.onnx").touch()
    session(str(folder / "m.onnx"))


@case
def types_differ(folder):
    session(proto("(float[1,3] x) => (float[1,3] y) { y = Add(x, w) }", w=np.ones((1, 3), np.float16)))


@case
def type_not_allowed(folder):
    text = "(float[1,3] x) => (int16[1,3] y) { y = QuantizeLinear(x, s, z) }"
    session(proto(text, s=np.float32(1), z=np.int16(0)))


@case
def output_type_differs(folder):
    session(proto("(float[N,4] x) => (int64[N,4] y) { y = Relu(x) }"))


@case
def attribute_of_another_opset(folder):
    text = "(int8[1,3] x) => (float[1,3] y) { y = DequantizeLinear<axis = 1>(x, s) }"
    session(proto(text, opset=12, s=np.ones(3, np.float32)))


@case
def attribute_missing(folder):
    session(proto("(float[2,4] x) => (float[2,4] y) { y = Cast(x) }"))


@case
def shapes_contradict(folder):
    session(proto("(float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }", w=weight(5, 3)))


@case
def defined_twice(folder):
    session(proto("(float[N,4] x) => (float[N,4] y) { y = Relu(x) y = Abs(x) }"))


@case
def input_from_nowhere(folder):
    session(proto("(float[N,4] x) => (float[N,4] y) { y = Add(x, nowhere) }"))


@case
def cyclic(folder):
    session(proto("(float[N,4] x) => (float[N,4] y) { a = Add(x, b) b = Relu(a) y = Relu(b) }"))


@case
def provider_missing(folder):
    ort.InferenceSession(linear().SerializeToString(), providers=["NoSuchExecutionProvider"], enable_fallback=0)


@case
def fallback_forbidden(folder):
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session(linear(), options)


@case
def affinity_refused(folder):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op_thread_affinities", "1024")
    session(linear(), options)


@case
def affinity_count(folder):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 4
    options.add_session_config_entry("session.intra_op_thread_affinities", "1")
    session(linear(), options)


@case
def input_names(folder):
    session(linear()).run(None, {"z": noise(1, 4)})


@case
def output_name(folder):
    session(linear()).run(["z"], {"x": noise(1, 4)})


@case
def input_dtype(folder):
    session(linear()).run(None, {"x": noise(1, 4).astype(np.float64)})


@case
def input_rank(folder):
    session(linear()).run(None, {"x": noise(4)})


@case
def input_dimension(folder):
    session(linear()).run(None, {"x": noise(1, 5)})


@case
def reshape(folder):
    text = "(float[N,4] x) => (float[A,B] y) { y = Reshape(x, s) }"
    run(text, {"x": noise(2, 4)}, s=np.array([1, 4]))


@case
def concat(folder):
    run(TWO + "{ y = Concat<axis = 0>(a, b) }", {"a": noise(1, 4), "b": noise(1, 3)})


@case
def broadcast(folder):
    run(TWO + "{ y = Add(a, b) }", {"a": noise(1, 4), "b": noise(1, 3)})


@case
def matmul_dimensions(folder):
    run(TWO + "{ y = MatMul(a, b) }", {"a": noise(2, 4), "b": noise(3, 3)})


@case
def gemm_bias(folder):
    run(TWO + "{ y = Gemm(a, b, c) }", {"a": noise(2, 4), "b": noise(4, 3)}, c=noise(2))


@case
def conv_channels(folder):
    text = "(float[N,C,H,W] x) => (float[N,D,I,J] y) { y = Conv(x, w) }"
    run(text, {"x": noise(1, 1, 8, 8)}, w=weight(2, 3, 3, 3))


@case
def gather_index(folder):
    text = "(int64[N] i) => (float[N] y) { y = Gather(x, i) }"
    run(text, {"i": np.array([9])}, x=noise(4))


@case
def cubic_resize(folder):
    text = '(float[1,1,4,4] x) => (float[A,B,C,D] y) { y = Resize<mode = "cubic">(x, , s) }'
    run(text, {"x": noise(1, 1, 4, 4)}, s=np.full(4, 2, np.float32))


@case
def out_of_memory(folder):
    run(FILLED, {"s": np.array([2**22, 2**22])})


@case
def size_overflow(folder):
    run(FILLED, {"s": np.array([2**40, 2**40])})


@case
def zero_point_shape(folder):
    text = "(uint8[1,1,4,4] x) => (uint8[1,1,2,2] y) { y = QLinearConv(x, s, z, w, s, zw, s, z) }"
    weights = {"s": np.float32(0.1), "z": np.uint8(0), "zw": np.zeros(3, np.int8), "w": np.ones((1, 1, 3, 3), np.int8)}
    run(text, {"x": np.zeros((1, 1, 4, 4), np.uint8)}, **weights)


@case
def no_calibration_data(folder):
    quantize(folder, static, linear())


@case
def calibration_range(folder):
    quantize(folder, static, linear(), {"x": np.full((1, 4), np.nan, np.float32)})


@case
def calibration_shapes(folder):
    samples = [{"x": noise(1, 8, 12, 12)}, {"x": noise(2, 8, 12, 12)}]
    quantize(folder, static, convnet(), *samples, calibrate_method=CalibrationMethod.Percentile)


@case
def percentile_out_of_range(folder):
    more = {"calibrate_method": CalibrationMethod.Percentile, "extra_options": {"CalibPercentile": 200}}
    quantize(folder, static, linear(), {"x": noise(1, 4)}, **more)


@case
def opset_named_twice(folder):
    model = linear()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    quantize(folder, dynamic, model)


@case
def tensor_type_unknown(folder):
    quantize(folder, dynamic, proto(OWN, w=weight(4, 3), domains=("my",)))


@case
def weight_types(folder):
    more = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QUInt8}
    quantize(folder, static, linear(), {"x": noise(1, 4)}, **more)


@case
def sixteen_bit_format(folder):
    more = {"activation_type": QuantType.QInt16, "quant_format": QuantFormat.QOperator}
    quantize(folder, static, linear(), {"x": noise(1, 4)}, **more)


@case
def symbolic_shapes(folder):
    onnx.save(proto(OWN, w=weight(4, 3), domains=("my",)), folder / "m.onnx")
    quant_pre_process(folder / "m.onnx", folder / "prepared.onnx")


@case
def smooth_quant_needs_inc(folder):
    quantize(folder, static, linear(), {"x": noise(1, 4)}, extra_options={"SmoothQuant": True})


@case
def block_size(folder):
    text = "(float[N,64] x) => (float[N,32] y) { y = MatMul(x, w) }"
    MatMulNBitsQuantizer(proto(text, w=weight(64, 32)), block_size=24).process()


@case
def beyond_protobuf(folder):
    model = linear()
    model.graph.initializer[0].raw_data = bytes(2**31)
    model.SerializeToString()


@case
def no_previous_version(folder):
    version_converter.convert_version(proto("(float[1,4] x) => (float[1,4] y) { y = Gelu(x) }", opset=20), 17)


def twice_initialized():
    """Another way to define a value twice, which onnx's checker finds."""
    model = linear()
    model.graph.initializer.append(numpy_helper.from_array(weight(4, 3), "w"))
    onnx.checker.check_model(model)
