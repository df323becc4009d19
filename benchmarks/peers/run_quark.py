"""AMD Quark, its configuration of 8-bit activations and weights."""

import peer
from onnxruntime.quantization import CalibrationDataReader
from quark.onnx import A8W8_QCONFIG, ModelQuantizer


def quantize(model: str, samples: peer.Samples, output: str) -> None:
    ModelQuantizer(A8W8_QCONFIG).quantize_model(model, output, reader(samples))


def reader(samples: peer.Samples) -> CalibrationDataReader:
    made = type("Reader", (CalibrationDataReader,), {"get_next": lambda _self: samples.get_next()})
    return made()


if __name__ == "__main__":
    peer.main(quantize)
