"""`edgeonnx pipeline`: a spec held against the user's own preprocessing, and a spec as the operators it becomes."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeonnx.calibration.samples import Data
from edgeonnx.errors import PipelineError
from edgeonnx.extensions import uses_extensions
from edgeonnx.files import check_writable
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.graph import entries, needed_opset, postprocessing, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.userfile import load_function, own_function
from edgeonnx.verbs.comparison import Comparison, PipelineCheck
from edgeonnx.verbs.data import Preparation, as_model, as_pipeline
from edgeonnx.weights import inferred

Preprocess = str | Callable[[Any], Any]


@dataclass(frozen=True)
class Step:
    """One operator of a pipeline.

    Attributes:
        part: `input.NAME` or `output`.
        operator: its name, with its domain where that is not the standard one.
        gives: type and shape of what comes out, as far as inference can tell.
    """

    part: str
    operator: str
    gives: str


@dataclass(frozen=True)
class PipelineView:
    """A spec as the operators it becomes for a model.

    Attributes:
        takes: what the joined model is fed.
        media: of each of these, what files it can be read from; None: arrays alone.
        before: the operators that make the model's inputs.
        feeds: the model's inputs.
        outputs: the model's outputs.
        after: the operators that make the results.
        gives: what the joined model returns.
        opset: the oldest standard operator set that has all of them.
        extensions: whether a device needs onnxruntime-extensions.
        fingerprint: the spec's.
    """

    takes: tuple[TensorSpec, ...]
    media: tuple[str | None, ...]
    before: tuple[Step, ...]
    feeds: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    after: tuple[Step, ...]
    gives: tuple[TensorSpec, ...]
    opset: int
    extensions: bool
    fingerprint: str


def show_pipeline(pipeline: str | Path | PipelineSpec, model: str | Path | Model) -> PipelineView:
    """A spec as the operators it becomes for a model.

    Raises:
        PipelineError: the spec does not fit the model.
    """
    spec, core = _spec(pipeline), as_model(model)
    opset = needed_opset(core, spec)
    before = preprocessing(core, spec)
    after = postprocessing(core, spec) if spec.output else None
    takes = entries(core, spec)
    return PipelineView(
        takes=tuple(entry.spec for entry in takes),
        media=tuple(entry.media.type if entry.media else None for entry in takes),
        before=_steps(before),
        feeds=core.inputs,
        outputs=core.outputs,
        after=_steps(after) if after else (),
        gives=tuple(tensor for tensor in after.outputs if not tensor.name.endswith(".passed"))
        if after
        else core.outputs,
        opset=opset,
        extensions=any(uses_extensions(graph.ir) for graph in (before, after) if graph),
        fingerprint=spec.fingerprint,
    )


def check_pipeline(
    pipeline: str | Path | PipelineSpec,
    model: str | Path | Model,
    against: Preprocess,
    data: Data,
    *,
    limit: int = 100,
    tolerance: float | None = None,
    save: str | Path | None = None,
) -> PipelineCheck:
    """Compare a spec's preprocessing with the user's own, on the user's data.

    Args:
        pipeline: the spec, or its path.
        model: the model it is for, or its path.
        against: the user's function, or `FILE.py:FUNC`. It is given the path, a `str`, of a sample that is a file
            (a picture, a recording, a text), else the sample as a dict of source name -> array. It returns what the
            model is fed: an array, or a dict of input name -> array; the batch axis may be left out.
        data: the samples.
        limit: how many to compare at most.
        tolerance: up to which difference they are the same, in grey levels for pictures, else in the model's units;
            None: 1 grey level, 1e-4 for other floats, 0 for integers.
        save: where to draw the worst sample, a `.png`.

    Raises:
        PipelineError: the spec does not fit, or the function fails or returns something else.
        DataError: the samples can't be read.
    """
    spec, core = _spec(pipeline), as_model(model)
    if save is not None:
        check_writable(Path(save), core.path)
    function = (
        load_function(against, PipelineError) if isinstance(against, str) else own_function(against, PipelineError)
    )
    comparison = Comparison(core, spec, function, tolerance)
    prepare = Preparation(core, spec)
    samples = 0
    for record in islice(prepare.open(data).records(), limit):
        samples += 1
        comparison.add(record, prepare)
    return comparison.result(samples, None if save is None else Path(save))


def _spec(pipeline: str | Path | PipelineSpec) -> PipelineSpec:
    spec = as_pipeline(pipeline)
    assert spec is not None
    return spec


def _steps(graph: Model) -> tuple[Step, ...]:
    """The operators, without constants and what only names a result."""
    known = inferred(graph).ir.graph
    types = {value.name: value for node in known for value in node.outputs}
    found = []
    for node in graph.ir.graph:
        if node.op_type in ("Constant", "Identity"):
            continue
        part = ".".join((node.name or "").split(".")[1:-2])  # as Builder names nodes
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        value = types[node.outputs[0].name]
        found.append(Step(part, operator, _told(value)))
    return tuple(found)


def _told(value: ir.Value) -> str:
    """Type and shape as `TensorSpec` prints them."""
    dtype = value.dtype
    if dtype is None or dtype == ir.DataType.UNDEFINED:
        return "?"
    name = "str" if dtype == ir.DataType.STRING else dtype.numpy().name
    shape = None if value.shape is None else tuple(d if isinstance(d, int) else d.value for d in value.shape)
    return str(TensorSpec("", name, shape)).removeprefix(": ")
