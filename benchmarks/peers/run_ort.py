"""onnxruntime's own quantizer; the fourth argument says which way."""

from pathlib import Path

import peer
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    quant_pre_process,
    quantize_dynamic,
    quantize_static,
)

STATIC = {
    "min-max": {},
    "per-channel": {"per_channel": True},
    "entropy": {"calibrate_method": CalibrationMethod.Entropy},
}


def quantize(model: str, samples: peer.Samples, output: str, way: str) -> None:
    prepared = str(Path(output).with_suffix(".prepared.onnx"))
    prepare(model, prepared)
    if way == "dynamic":
        quantize_dynamic(prepared, output)
    else:
        quantize_static(prepared, output, reader(samples), **STATIC[way])


def prepare(model: str, prepared: str) -> None:
    """The preparation that its documentation asks for; of shapes it does without what it can't infer."""
    try:
        quant_pre_process(model, prepared)
    except Exception as error:  # it raises Exception itself
        print(error)
        quant_pre_process(model, prepared, skip_symbolic_shape=True)


def reader(samples: peer.Samples) -> CalibrationDataReader:
    made = type("Reader", (CalibrationDataReader,), {"get_next": lambda _self: samples.get_next()})
    return made()


if __name__ == "__main__":
    peer.main(quantize)
