"""`edgeonnx convert`: a model of another framework as ONNX, run beside the framework and compared with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import inf
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeonnx.calibration.samples import Data
from edgeonnx.convert import Difference, Source, checked, open_source, read_axes, reshaped, with_conversion
from edgeonnx.errors import ConvertError, DifferenceError, first_line
from edgeonnx.files import check_writable, sha256
from edgeonnx.model import Model, TensorSpec
from edgeonnx.quiet import quiet
from edgeonnx.verbs.outcome import settled
from edgeonnx.verbs.trials import Trials, try_both
from edgeonnx.weights import apart

TOLERANCE = 1e-4


@dataclass(frozen=True)
class ConvertResult:
    """What convert made, and how far it is from its source.

    Attributes:
        model: the ONNX model.
        output: where it was written; None if it was not.
        source: file or class.
        framework: what the source runs in, with its release.
        exporter: what wrote the model, with its release; None where the source is ONNX already.
        opset: of the model.
        inputs: what it takes.
        outputs: what it returns.
        samples: how many were run on both sides.
        noise: whether these were made up, as none were given.
        sizes: the sizes of free axes that were tried, by name: `batch` -> (2, 3).
        differences: of each output; none where the source is ONNX already.
        notes: what its user should know.
        problems: why it is not as the source; empty if it is.
    """

    model: Model
    output: Path | None
    source: str
    framework: str
    exporter: str | None
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    samples: int
    noise: bool
    sizes: Mapping[str, tuple[int, ...]]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def convert(
    source: str | PathLike[str] | object,
    examples: object = None,
    *,
    output: str | Path | None = None,
    dynamic: Mapping[str, Mapping[int, str]] | Iterable[str] = (),
    opset: int | None = None,
    data: Data | None = None,
    samples: int = 32,
    signature: str | None = None,
    tolerance: float = TOLERANCE,
    trust: bool = False,
    force: bool = False,
) -> ConvertResult:
    """Convert a model to ONNX with the exporter of its framework, and compare what both give.

    Args:
        source: a path: `.pt2`, a SavedModel's folder, `.keras`, `.h5`, `.tflite`, `.skops`, a pickle, `.onnx`; or
            `FILE.py:FUNC` that returns a model and its example inputs; or a model itself: a `torch.nn.Module`, a Keras
            model, a scikit-learn estimator, a function on JAX arrays.
        examples: example inputs of a model: a tuple, or a dict by name.
        output: where to write it; one that differs from its source goes to `NAME.rejected.onnx` instead.
        dynamic: names of axes to leave free, `{"image": {0: "batch"}}` or `["image:0=batch"]`.
        opset: of the standard operators; None: 18, or that of a source that is ONNX already.
        data: more samples to compare on: see `edgeonnx.calibration.samples`. Without them and example inputs: noise.
        samples: how many of `data` at most.
        signature: of a SavedModel or a TFLite model with several.
        tolerance: how far a float output may be off, relative to the largest magnitude that it has in the source.
        trust: load files that can run code: pickles, `.pt2`, Keras' Lambda layers.
        force: write and return a model that differs.

    Raises:
        DifferenceError: the outputs differ by more than is tolerated; its `result` tells how far.
        ConvertError: the source can't be opened, is not trusted, or has no form in ONNX.
        EdgeonnxError: bad input; see `edgeonnx.errors`.
    """
    output = None if output is None else Path(output)
    path = Path(source) if isinstance(source, (str, PathLike)) else None
    if not 0 <= tolerance < inf:
        raise ConvertError(f"tolerance: expected a number of 0 or more, got {tolerance}")
    if output is not None:
        check_writable(output, path)
    opened = open_source(source, examples, trust, signature)
    axes = checked(dynamic if isinstance(dynamic, Mapping) else read_axes(dynamic), opened.inputs)
    if opened.exporter is not None and (given := opened.examples()) is not None:
        opened.run(given)  # what is wrong with them, the framework says better than its exporter
    made = opened.export(opset or opened.opset, axes)
    _check(made, opened)
    found = _trials(opened, made, data, samples, tolerance)
    result = _result(opened, reshaped(made, found.shapes), found, tolerance)
    if opened.exporter is not None:
        result = replace(result, model=with_conversion(result.model, _record(opened, result, path)))
    advice = f" ({opened.caveat})" if opened.caveat else ""
    advice += " (on noise; --data with samples of your own says more)" if found.noise else ""
    return settled(result, output, force, DifferenceError, advice)


def _check(made: Model, source: Source) -> None:
    """Whether the model is valid ONNX, large weights aside; that it loads shows when it is run.

    Raises:
        ConvertError: it is not.
    """
    try:
        onnx.checker.check_model(apart(made).light.to_proto())
    except onnx.checker.ValidationError as error:
        raise ConvertError(f"{source.name}: the model is not valid ONNX: {first_line(error)}") from error


def _trials(source: Source, made: Model, data: Data | None, samples: int, tolerance: float) -> Trials:
    if source.exporter is None:
        with quiet():  # onnxruntime prints what it raises
            made.session()
        return Trials(0, {}, (), (), ())
    return try_both(source, made, data, samples, tolerance)


def _result(source: Source, made: Model, found: Trials, tolerance: float) -> ConvertResult:
    return ConvertResult(
        model=made,
        output=None,
        source=source.name,
        framework=source.framework,
        exporter=source.exporter,
        opset=made.opset,
        inputs=made.inputs,
        outputs=made.outputs,
        samples=found.samples,
        noise=found.noise,
        sizes=found.sizes,
        differences=found.differences,
        notes=(*source.notes, *found.notes, *_unread(source, made), *_constant(found)),
        problems=(*found.problems, *_differences(source, found, tolerance)),
    )


def _differences(source: Source, found: Trials, tolerance: float) -> Iterator[str]:
    """What is wrong with the outputs, a line each."""
    for one in found.differences:
        if not one.within:
            yield _off(one, source, tolerance, found.only_at.get(one.output))
        elif found.samples and not one.finite:
            yield (
                f"{one.output} is NaN or infinite throughout in {source.framework}, so nothing was compared; give "
                "inputs for which it is finite"
            )


def _off(one: Difference, source: Source, tolerance: float, only_at: str | None) -> str:
    at = f" at {only_at}, but not at the size of the samples: leave that axis fixed" if only_at else ""
    if np.isinf(one.largest):
        return f"{one.output} is not of the shape of {source.framework}'s, or infinite or NaN where that is not{at}"
    if one.exact:
        steps = f", up to {one.largest:g} off" if one.largest else ""
        return f"{one.output}: {one.unequal} of {one.elements} elements are not those of {source.framework}{steps}{at}"
    return (
        f"{one.output} is up to {one.largest:.3g} off {source.framework}, {one.relative:.2g} of its largest value; "
        f"expected at most {tolerance:g}{at}"
    )


def _unread(source: Source, made: Model) -> Iterator[str]:
    """Inputs that nothing reads: the exporter keeps them, so they must be fed."""
    outputs = set(made.ir.graph.outputs)
    unread = [str(v.name) for v in made.ir.graph.inputs if not v.uses() and v not in outputs]
    if unread and source.exporter is not None:
        yield f"{', '.join(unread)}: no output depends on it, yet it must be fed; take it out of the source"


def _constant(found: Trials) -> Iterator[str]:
    """Outputs that were compared on one value alone."""
    constant = [one.output for one in found.differences if one.constant and one.elements]
    if constant:
        yield f"{', '.join(constant)}: the same for all samples, so hardly compared; --data with others says more"


def _record(source: Source, result: ConvertResult, path: Path | None) -> dict[str, Any]:
    """What the model will carry; no path, so that the same source gives the same bytes wherever it lies."""
    file = path if path is not None and path.is_file() else None
    return {
        "source": source.name if file else None,
        "source_sha256": sha256(file) if file else None,
        "framework": source.framework,
        "exporter": source.exporter,
        "samples": result.samples,
        "differences": {one.output: one.largest for one in result.differences},
        "tools": {name: version(name) for name in ("edgeonnx", "onnxruntime")},
    }
