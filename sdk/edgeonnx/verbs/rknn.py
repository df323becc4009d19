"""`edgeonnx rknn`: a float model converted for a Rockchip NPU, and what its simulator gives held against float."""

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.calibration.samples import Data
from edgeonnx.errors import BudgetError, DataError, TargetError
from edgeonnx.files import check_writable, replacing
from edgeonnx.model import Model
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.providers import rknn as toolkit
from edgeonnx.scoring import Agreement, Top1
from edgeonnx.targets import Target, load_target
from edgeonnx.verbs.data import Feeds, Preparation, as_model, as_pipeline
from edgeonnx.verbs.measure import Selection, divide


@dataclass(frozen=True)
class RknnResult:
    """A converted model, and how far its outputs on the simulator are from float's.

    Attributes:
        path: the `.rknn` file.
        chip: that it was converted for.
        calibration: how many samples calibrated.
        samples: how many were compared.
        largest: difference in a float output.
        sqnr: signal to quantization noise over all float outputs, in dB; None where there is no noise.
        agreement: with the float model, 0 to 1: see `scoring.Agreement`.
        float_top1: the float model's, where the samples have labels.
        top1: the converted model's.
    """

    path: Path
    chip: str
    calibration: int
    samples: int
    largest: float
    sqnr: float | None
    agreement: float
    float_top1: float | None
    top1: float | None

    @property
    def drop(self) -> float:
        """In top-1, where there are labels; else in agreement."""
        if self.float_top1 is None or self.top1 is None:
            return 1.0 - self.agreement
        return self.float_top1 - self.top1


def convert_rknn(
    model: str | Path | Model,
    data: Data,
    *,
    output: str | Path,
    target: str = "rk3588",
    chip: str | None = None,
    eval_data: Data | None = None,
    pipeline: str | Path | PipelineSpec | None = None,
    samples: int = 100,
    dtype: str = "w8a8",
    algorithm: str = "normal",
    max_drop: float = 0.01,
    python: Path | None = None,
) -> RknnResult:
    """Convert a float model with rknn-toolkit2, run it on the toolkit's simulator, and compare.

    The simulator's arithmetic is the same for every chip. The file takes what the model takes: a pipeline only
    prepares the samples.

    Args:
        model: float.
        data: to calibrate on, and to compare on where `eval_data` is None: no sample is used for both.
        output: the `.rknn` file to write; on a missed budget `NAME.rejected.rknn` is written in its place.
        target: a profile with a `conversion`.
        chip: another chip than the profile's, as the toolkit names it.
        eval_data: to compare on.
        pipeline: makes the model's feeds of samples.
        samples: how many calibrate at most.
        dtype: of weights and activations, as the toolkit names them.
        algorithm: how the toolkit finds ranges: `normal`, `mmse`, `kl_divergence`, `gdq`.
        max_drop: see `RknnResult.drop`.
        python: an interpreter that has rknn-toolkit2; None: look for one.

    Raises:
        BudgetError: the drop is larger than allowed.
        ModelError: the model is quantized already, or the toolkit refuses it.
        TargetError: the target has no converter, or none is installed.
        EdgeonnxError: data that can't be read or used.
    """
    output, chip = Path(output), chip or _chip(load_target(target))
    source = None if isinstance(model, Model) else model
    check_writable(output, source)
    model, python = as_model(model), toolkit.find_python(python)
    toolkit.check_float(model)
    prepare = Preparation(model, as_pipeline(pipeline))
    calibrating, evaluating = divide(prepare, data, eval_data, None, samples)
    assert evaluating is not None  # there is no metric of the user's own
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shapes = _save(model, prepare, calibrating, folder / "calibration")
        if _save(model, prepare, evaluating, folder / "evaluation") != shapes:
            raise DataError(f"{evaluating.samples.origin}: expected samples of the shapes of those that calibrate")
        names = tuple(tensor.name for tensor in model.inputs)
        free = not all(tensor.fixed for tensor in model.inputs)
        job = toolkit.Job(chip, dtype, algorithm, names, shapes, free, calibrating.count, evaluating.count)
        made = toolkit.convert(python, model, job, folder)
        found = _compared(model, evaluating, folder)
        result = RknnResult(output, chip, calibrating.count, evaluating.count, **found)
        kept = result.drop <= max_drop
        with replacing(output if kept else output.with_suffix(".rejected.rknn")) as temporary:
            temporary.write_bytes(made.read_bytes())
    if not kept:
        raise BudgetError(
            f"expected a drop of at most {max_drop:g}, got {result.drop:.4f}; try another --algorithm or --dtype, give "
            "more --data, or allow more with --max-drop",
            result,
        )
    return result


def _chip(target: Target) -> str:
    if target.conversion is None:
        raise TargetError(f"{target.name}: expected a target with a conversion by rknn-toolkit2, such as rk3588")
    return target.conversion.chip


def _save(model: Model, prepare: Preparation, chosen: Selection, folder: Path) -> tuple[tuple[int, ...], ...]:
    """Write samples as the worker reads them.

    Returns:
        The shapes of the model's inputs, which are fixed in a converted model.
    """
    folder.mkdir()
    shapes: tuple[tuple[int, ...], ...] | None = None
    for number, record in enumerate(chosen.samples.records(chosen.indexes)):
        feeds = prepare(record.feeds)
        arrays = [feeds[tensor.name] for tensor in model.inputs]
        toolkit.save_sample(folder, number, iter(arrays))
        found = tuple(array.shape for array in arrays)
        shapes = shapes or found
        if found != shapes:
            raise DataError(f"{record.where}: expected {shapes} as the samples before it, got {found}")
    return shapes or ()


def _compared(model: Model, evaluating: Selection, folder: Path) -> dict[str, Any]:
    """What `RknnResult` says of the outputs; both models' are read from files, so that one sample is in memory."""
    session = model.session()
    names = [tensor.name for tensor in model.outputs]

    def sample(number: int) -> Feeds:
        return {"number": np.array(number)}

    def expected(feeds: Feeds) -> Feeds:
        stem = folder / "evaluation" / f"{int(feeds['number'])}"
        arrays = {tensor.name: np.load(f"{stem}.{place}.npy") for place, tensor in enumerate(model.inputs)}
        return dict(zip(names, session.run(names, arrays), strict=True))

    def got(feeds: Feeds) -> Feeds:
        return toolkit.outputs(folder, int(feeds["number"]), model)

    everything = [sample(number) for number in range(evaluating.count)]
    largest, sqnr = _distance((expected(one), got(one)) for one in everything)
    top1: tuple[float, float] | tuple[None, None] = (None, None)
    if evaluating.samples.has_labels:
        labels = [label for _, label in evaluating.samples.labelled(evaluating.indexes)]
        metric = Top1(lambda: zip(everything, labels, strict=True))
        top1 = (metric.score(expected), metric.score(got))
    agreement = Agreement(lambda: everything, expected).score(got)
    return {"largest": largest, "sqnr": sqnr, "agreement": agreement, "float_top1": top1[0], "top1": top1[1]}


def _distance(pairs: Iterable[tuple[Feeds, Feeds]]) -> tuple[float, float | None]:
    """The largest difference in a float output, and the signal-to-noise ratio of all in dB, None without noise."""
    largest = signal = noise = 0.0
    for expected, got in pairs:
        for name, wanted in expected.items():
            if wanted.dtype.kind == "f":
                wide = wanted.astype(np.float64)
                apart = np.abs(got[name].astype(np.float64) - wide)
                largest = max(largest, float(apart.max(initial=0.0)))
                signal, noise = signal + float((wide**2).sum()), noise + float((apart**2).sum())
    return largest, 10 * math.log10(signal / noise) if signal and noise else None
