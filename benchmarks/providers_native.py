"""OpenVINO without onnxruntime, in an interpreter that has openvino and nncf; of edgeonnx it needs nothing.

    python providers_native.py quantize MODEL CALIBRATION.npz OUTPUT.xml [transformer]
    python providers_native.py serve MODEL.xml EVALUATION.npz OUTPUTS.npz

`quantize` is nncf's post-training quantization with its defaults. `serve` writes the first output for every sample,
then reads seconds from standard input, line by line, and answers each with the seconds of each call in JSON. One
thread.
"""

import json
import sys
import time

import numpy as np
import openvino as ov

NOT_INPUTS = ("labels", "reference")


def samples(path: str):
    with np.load(path) as arrays:
        inputs = {name: arrays[name] for name in arrays.files if name not in NOT_INPUTS}
    count = len(next(iter(inputs.values())))
    return [{name: array[index : index + 1] for name, array in inputs.items()} for index in range(count)]


def quantize(model: str, calibration: str, output: str, kind: str = "") -> None:
    import nncf

    more = {"model_type": nncf.ModelType.TRANSFORMER} if kind == "transformer" else {}
    quantized = nncf.quantize(ov.Core().read_model(model), nncf.Dataset(samples(calibration)), **more)
    ov.save_model(quantized, output, compress_to_fp16=False)


def serve(model: str, evaluation: str, outputs: str) -> None:
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    feeds = samples(evaluation)
    np.savez(outputs, first=np.stack([request.infer(sample)[0] for sample in feeds]))
    print("ready", flush=True)
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(line)
        while time.perf_counter() < end or len(times) < 5:
            start = time.perf_counter()
            request.infer(feeds[0])
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    {"quantize": quantize, "serve": serve}[sys.argv[1]](*sys.argv[2:])
