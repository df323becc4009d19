"""Runs neural-compressor, in an interpreter that has it; of edgeonnx it needs nothing.

    python -I inc_worker.py FOLDER WAYS SECONDS

Reads `model.onnx` and `samples.npz` (arrays `0.0`, `0.1`, ... of sample and input, `names` of inputs) from FOLDER and
works there. Writes one line of JSON a result to standard output: `{"way", "file"}`, or `{"way", "error"}`. What
neural-compressor prints goes to standard error.
"""

import hashlib
import json
import logging
import os
import sys
import time
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

_ANY = ".*"
# A tuned model is to keep this share of the output's power clear of noise: 20 dB.
_TOLERATED = 0.01
_TRIALS = 30


class Loader:
    """Samples in the form neural-compressor reads them."""

    batch_size = 1

    def __init__(self, path: Path) -> None:
        with np.load(path) as arrays:
            names = [str(name) for name in arrays["names"]]
            count = (len(arrays.files) - 1) // len(names)
            self.feeds = [{n: arrays[f"{i}.{k}"] for k, n in enumerate(names)} for i in range(count)]

    def __iter__(self) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        for feeds in self.feeds:
            yield feeds, 0


def main(folder: str, ways: str, seconds: str) -> None:
    """Try each way until time is up; report as each is done."""
    until = time.monotonic() + float(seconds)
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        os.chdir(folder)
        restore_mapping()
        loader, seen = Loader(Path("samples.npz")), dict[str, str]()
        for way in ways.split(","):
            if time.monotonic() > until:
                report = {"way": way, "error": f"not begun: {float(seconds):.0f} s were over"}
            else:
                report = attempt(way, loader, seen, until)
            print(json.dumps(report), file=channel, flush=True)


def attempt(way: str, loader: Loader, seen: dict[str, str], until: float) -> dict[str, str]:
    """One way, as a line of the report; a model that an earlier way gave already is not given again."""
    complaints = Complaints()
    logging.getLogger("neural_compressor").addHandler(complaints)
    try:
        made = quantized(way, loader, until)
    except Exception as error:
        traceback.print_exc()
        return {"way": way, "error": f"{type(error).__name__}: {error}".splitlines()[0]}
    finally:
        logging.getLogger("neural_compressor").removeHandler(complaints)
    if made is None:
        return {"way": way, "error": f"neural-compressor gave no model: {complaints.first}"}
    file = f"{way}.onnx"
    made.save(file)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    if digest in seen:
        return {"way": way, "error": f"the same model as {seen[digest]}"}
    seen[digest] = way
    return {"way": way, "file": file}


def quantized(way: str, loader: Loader, until: float) -> Any:
    """neural-compressor's model, or None where it failed."""
    from neural_compressor import PostTrainingQuantConfig, quantization
    from neural_compressor.config import AccuracyCriterion, TuningCriterion

    settings: dict[str, dict[str, Any]] = {
        "static": {},
        "percentile": {"op_type_dict": {_ANY: {"activation": {"algorithm": ["percentile"]}}}},
        "kl": {"op_type_dict": {_ANY: {"activation": {"algorithm": ["kl"]}}}},
        # Any other level tries plain quantization first and is content with that.
        "smoothquant": {"quant_level": 1, "recipes": {"smooth_quant": True, "smooth_quant_args": {"alpha": 0.5}}},
        "dynamic": {"approach": "dynamic"},
        "mse_v2": {
            "quant_level": 1,
            "tuning_criterion": TuningCriterion(
                strategy="mse_v2", max_trials=_TRIALS, timeout=max(1, int(until - time.monotonic()))
            ),
            "accuracy_criterion": AccuracyCriterion(tolerable_loss=_TOLERATED),
        },
    }
    config = PostTrainingQuantConfig(calibration_sampling_size=[len(loader.feeds)], **settings[way])
    judge = {"eval_func": Fidelity("model.onnx", loader)} if way == "mse_v2" else {}
    return quantization.fit("model.onnx", config, calib_dataloader=loader, **judge)


class Complaints(logging.Handler):
    """Remembers the first error that neural-compressor logs: it catches exceptions and returns None."""

    first = "it does not say why"

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first."""
        if self.first is Complaints.first:
            self.first = record.getMessage().strip().splitlines()[0]


class Fidelity:
    """Share of the float model's output power that is not noise: 1 for the float model itself."""

    def __init__(self, path: str, loader: Loader) -> None:
        self._feeds = loader.feeds
        self._wanted = run(onnx.load(path), self._feeds)

    def __call__(self, model: onnx.ModelProto) -> float:
        """1 - noise / signal, over all float outputs and samples."""
        noise = signal = 0.0
        for wanted, got in zip(self._wanted, run(model, self._feeds), strict=True):
            for one, two in zip(wanted, got, strict=True):
                if one.dtype.kind == "f":
                    noise += float(((one - two).astype(np.float64) ** 2).sum())
                    signal += float((one.astype(np.float64) ** 2).sum())
        return 1.0 - noise / signal if signal else 1.0


def run(model: onnx.ModelProto, feeds: list[dict[str, np.ndarray]]) -> list[list[np.ndarray]]:
    """Outputs for each sample, on one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(None, sample) for sample in feeds]


def restore_mapping() -> None:
    """Give back `onnx.mapping`, which onnx dropped and neural-compressor reads."""
    if hasattr(onnx, "mapping"):
        return
    kinds = [kind for kind in onnx.helper.get_all_tensor_dtypes() if kind != onnx.TensorProto.UNDEFINED]
    by_kind = {kind: np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)) for kind in kinds}
    mapping: Any = types.ModuleType("onnx.mapping")
    mapping.TENSOR_TYPE_TO_NP_TYPE = by_kind
    mapping.NP_TYPE_TO_TENSOR_TYPE = {dtype: kind for kind, dtype in reversed(by_kind.items())}
    sys.modules["onnx.mapping"] = mapping
    setattr(onnx, "mapping", mapping)  # noqa: B010  # mypy knows that onnx has none


if __name__ == "__main__":
    main(*sys.argv[1:])
