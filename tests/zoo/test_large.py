"""Models beyond protobuf's 2 GiB: their weights stay beside them, through every stage and on the disk."""

import numpy as np
import onnx
import pytest

from edgeonnx.model import Model
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.quantize.sensitivity import output_sqnr
from tests.unit.models import noise, proto, weight
from tests.unit.quantized import quantize

GIB = 1 << 30
ROWS = 1 << 20
WIDE = 1 << 14


def with_data(model, path, arrays):
    """Write a model and, one after the other beside it, weights too large to hold twice."""
    with path.with_suffix(".data").open("wb") as file:
        for name, array in arrays.items():
            tensor = model.graph.initializer.add(name=name, data_type=onnx.TensorProto.FLOAT, dims=array.shape)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            place = {"location": path.with_suffix(".data").name, "offset": file.tell(), "length": array.nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            array.tofile(file)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.slow
def test_a_table_of_more_than_2_gib(tmp_path):
    """A table that no layer reads is not quantized: the result is as large, and keeps it beside itself."""
    text = """(int64[n] i, float[n,16] x) => (float[n,16] y) {
        e = Gather(t, i) l = MatMul(e, w1) s = Sub(l, x) y = MatMul(s, w2)
    }"""
    table = np.zeros((ROWS, 560), np.float32)
    table[:64] = noise(64, 560)
    assert table.nbytes > 2 * GIB
    path = with_data(proto(text, w1=weight(560, 16) * 0.2, w2=weight(16, 16)), tmp_path / "table.onnx", {"t": table})
    del table
    samples = [{"i": np.arange(s, s + 4), "x": noise(4, 16, seed=s)} for s in range(6)]
    made = quantize(Model.load(path), samples, scope="compute").model
    again = Model.load(made.save(tmp_path / "int8.onnx"))
    assert again.has_external_data
    assert again.file_bytes > 2 * GIB
    assert len(list(quantized_layers(again.ir))) == 2
    assert output_sqnr(Model.load(path), again, samples) > 20


@pytest.mark.slow
def test_layers_of_more_than_2_gib(tmp_path):
    """Weights of layers become a quarter: the result fits in one file."""
    text = """(float[1,16384] x) => (float[1,64] y) {
        a = MatMul(x, w1) b = Relu(a) c = MatMul(b, w2) d = Relu(c) y = MatMul(d, w3)
    }"""
    half = noise(WIDE, WIDE + 2048) * np.float32(WIDE**-0.5)
    arrays = {"w1": half, "w2": half.T}
    assert sum(array.nbytes for array in arrays.values()) > 2 * GIB
    path = with_data(proto(text, w3=weight(64, WIDE).T.copy()), tmp_path / "wide.onnx", arrays)
    del half, arrays
    samples = [{"x": noise(1, WIDE, seed=seed)} for seed in range(3)]
    made = quantize(Model.load(path), samples).model
    again = Model.load(made.save(tmp_path / "int8.onnx"))
    assert not again.has_external_data
    assert again.file_bytes < GIB
    assert len(list(quantized_layers(again.ir))) == 3
    assert output_sqnr(Model.load(path), again, samples) > 20
