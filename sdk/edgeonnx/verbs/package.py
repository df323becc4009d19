"""`edgeonnx package`: join the pipeline, check against the target, make golden samples, write the bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from itertools import islice
from pathlib import Path

from edgeonnx.bundle.archive import LABELS, MODEL, write_bundle
from edgeonnx.bundle.golden import Golden, generate, make_golden
from edgeonnx.calibration.samples import Data, open_samples
from edgeonnx.errors import InputError, ModelError, PipelineError, TargetError
from edgeonnx.files import check_writable
from edgeonnx.model import Model, TensorSpec
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.decode import read_picture
from edgeonnx.pipeline.graph import PROBABILITIES, join, scores_name
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import (
    DTYPES,
    InputSpec,
    Manifest,
    ModelInfo,
    OutputSpec,
    Provenance,
    Provider,
    Requirement,
    Result,
    SessionSettings,
)
from edgeonnx.runtime._manifest import (
    Golden as GoldenInfo,
)
from edgeonnx.runtime._version import OLDEST_ONNXRUNTIME
from edgeonnx.targets import Target, load_target, oldest
from edgeonnx.verbs.data import as_model, as_pipeline
from edgeonnx.verbs.inspect import target_refusals

_TOOLS = ("edgeonnx", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class PackageResult:
    """A bundle that was written.

    Attributes:
        path: the `.edge` file.
        bytes: its size.
        manifest: what it says of itself; see docs/bundle.md.
        target: the profile it was packaged for.
    """

    path: Path
    bytes: int
    manifest: Manifest
    target: Target


def package(
    model: str | Path | Model,
    target: str,
    output: str | Path,
    *,
    name: str | None = None,
    version: str = "1",
    labels: str | Path | Sequence[str] | None = None,
    pipeline: str | Path | PipelineSpec | None = None,
    data: Data | None = None,
    bare: bool = False,
    golden_samples: int = 3,
) -> PackageResult:
    """Put a model into one verified file for a device.

    Args:
        model: float or quantized, or its path.
        target: name or path of a profile.
        output: the `.edge` file to write.
        name: what to call it; None: the output's name.
        version: of the user's own counting.
        labels: class names, or a file with one a line.
        pipeline: pre- and postprocessing to join to the model: a spec or its path.
        data: where golden samples come from; None: noise in the calibrated range.
        bare: leave the pipeline out although the model was quantized through one: the device's program does its work.
        golden_samples: how many.

    Raises:
        TargetError: no such target, or it refuses the model.
        PipelineError: the spec does not fit, or is not the one the model was quantized through.
        EdgeonnxError: other bad input; see `edgeonnx.errors`.
    """
    output = Path(output)
    check_writable(output, model.path if isinstance(model, Model) else model)
    if "/" in (name or ""):
        raise InputError(f"name: expected text without '/', got {name!r}; say where to write with -o")
    profile = load_target(target)
    core, spec = as_model(model), as_pipeline(pipeline)
    _check_types(core)
    joined = _for_target(_join(core, spec, bare), profile)
    inputs = joined.inputs
    images = {n: image.color for n, image in spec.input.items()} if spec else {}
    if data is not None:
        feeds = list(islice(open_samples(data, inputs, images, read_picture).feeds(), golden_samples))
    else:
        for tensor in inputs:
            _shape(tensor)
        feeds = generate(inputs, (core.record or {}).get("ranges", {}), golden_samples)
    golden = make_golden(joined, feeds)
    result, names = _result(core, joined, spec, _read_labels(labels))
    manifest = Manifest(
        name=name or output.stem,
        version=version,
        target=profile.name,
        created_with={tool: installed(tool) for tool in _TOOLS},
        onnxruntime=Requirement(_oldest(joined), installed("onnxruntime")),
        model=ModelInfo(MODEL, _precision(joined), joined.opset, joined.ir_version),
        inputs=tuple(InputSpec(t.name, t.dtype, _shape(t), images.get(t.name)) for t in _ranked(inputs, golden, 0)),
        outputs=_outputs(joined, golden),
        result=result,
        session=_session(profile),
        golden=GoldenInfo(len(golden.samples), "data" if data is not None else "generated"),
        provenance=_provenance(core),
        files={},
    )
    entries = {MODEL: joined.to_proto().SerializeToString(deterministic=True)}
    if names:
        entries[LABELS] = "".join(f"{label}\n" for label in names).encode()
    manifest = write_bundle(output, manifest, {**entries, **golden.entries()})
    return PackageResult(output, output.stat().st_size, manifest, profile)


def _check_types(model: Model) -> None:
    """See that a device can feed the inputs and take the outputs, by name and with numpy alone."""
    names = [tensor.name for tensor in model.outputs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ModelError(f"{twice[0]} is returned twice; give each output a name of its own, with an Identity")
    for tensor in (*model.inputs, *model.outputs):
        if tensor.dtype not in DTYPES:
            kinds = ", ".join(DTYPES)
            raise ModelError(f"{tensor}: expected a tensor that numpy has, {kinds}; convert it inside the model")


def _join(core: Model, spec: PipelineSpec | None, bare: bool) -> Model:
    """The model with its pipeline, once it is sure that it is the one it was quantized through."""
    through = (core.record or {}).get("pipeline")
    if through is not None and spec is None and not bare:
        raise PipelineError("the model was quantized through a pipeline; give it with --pipeline, or say --bare")
    if through is not None and spec is not None and through != spec.fingerprint:
        raise PipelineError(
            f"the model was quantized through the pipeline {through[:12]}, got {spec.fingerprint[:12]}; "
            "package it with the same spec, or quantize it again through this one"
        )
    return join(raise_opset(core), spec) if spec else core


def _for_target(model: Model, profile: Target) -> Model:
    """The model at an IR version the target loads.

    Raises:
        TargetError: the target refuses it.
    """
    refused = target_refusals(model, profile)
    if refused:
        raise TargetError(f"{profile.name} refuses the model: {'; '.join(refused)}")
    copy = model.copy()
    copy.ir.ir_version = min(copy.ir_version, profile.caps.ir_version)
    return Model(copy.ir)


def _read_labels(labels: str | Path | Sequence[str] | None) -> list[str]:
    if labels is None:
        return []
    if not isinstance(labels, (str, Path)):
        return [str(label) for label in labels]
    try:
        names = [line.strip() for line in Path(labels).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels {labels} can't be read: {error}; expected UTF-8 text, one name a line") from error
    if not names:
        raise InputError(f"labels {labels}: expected one name a line, got no names")
    return names


def _result(
    core: Model, joined: Model, spec: PipelineSpec | None, labels: list[str]
) -> tuple[Result | None, list[str]]:
    """How to read the outputs. Labels alone make a classifier of a model with one output."""
    output = spec.output if spec else None
    if output is None and not labels:
        return None, []
    top_k = output.top_k if output else 5
    if output is not None and output.activation == "softmax":
        scores = PROBABILITIES
    elif output is not None:
        scores = scores_name(core, output)
    elif len(joined.outputs) == 1:
        scores = joined.outputs[0].name
    else:
        raise InputError("labels: the model has several outputs; say which holds the scores in a pipeline's [output]")
    _check_labels(next(t for t in joined.outputs if t.name == scores), labels)
    return Result("classification", scores, LABELS if labels else None, top_k), labels


def _check_labels(scores: TensorSpec, labels: list[str]) -> None:
    classes = scores.shape[-1] if scores.shape else None
    if labels and isinstance(classes, int) and classes != len(labels):
        raise InputError(f"labels: expected {classes}, one for each class of {scores}, got {len(labels)}")


def _outputs(joined: Model, golden: Golden) -> tuple[OutputSpec, ...]:
    return tuple(
        OutputSpec(t.name, t.dtype, _shape(t), golden.tolerance[t.name].atol, golden.tolerance[t.name].rtol)
        for t in _ranked(joined.outputs, golden, 1)
    )


def _ranked(tensors: Sequence[TensorSpec], golden: Golden, side: int) -> tuple[TensorSpec, ...]:
    """The inputs (side 0) or outputs (1); where a shape is not known, a sample tells the rank."""
    if not golden.samples:
        return tuple(tensors)
    pairs = zip(tensors, golden.samples[0][side], strict=True)
    return tuple(t if t.shape is not None else replace(t, shape=(None,) * a.ndim) for t, a in pairs)


def _shape(tensor: TensorSpec) -> tuple[int | str, ...]:
    """A manifest's shape: every free dimension has a name."""
    if tensor.shape is None:
        raise ModelError(
            f"{tensor.name} has no shape; give --data, whose samples tell its rank, or export the model with shapes"
        )
    return tuple(size if size is not None else f"{tensor.name}_{axis}" for axis, size in enumerate(tensor.shape))


def _session(profile: Target) -> SessionSettings:
    return SessionSettings(
        providers=tuple(Provider(p.name, dict(p.options)) for p in profile.providers),
        intra_op_threads=profile.session.intra_op_threads,
        inter_op_threads=profile.session.inter_op_threads,
        graph_optimization=profile.session.graph_optimization,
        config=dict(profile.session.config),
    )


def _oldest(model: Model) -> str:
    """The oldest onnxruntime that loads the model and that the device's runtime was run with."""
    releases = (oldest(model.opset, model.ir_version), OLDEST_ONNXRUNTIME)
    return max(releases, key=lambda release: [int(part) for part in release.split(".")])


def _precision(model: Model) -> str:
    """A word for people: the smallest integer type that weights are kept in, else the float type."""
    kinds = {str(v.dtype).lower() for v in model.ir.graph.initializers.values() if v.dtype is not None}
    quantized = any(node.op_type == "DequantizeLinear" for node in model.ir.graph)
    if quantized:
        return "int4" if kinds & {"int4", "uint4"} else "int8"
    return next((kind for kind in ("float16", "bfloat16", "float64") if kind in kinds), "float32")


def _provenance(core: Model) -> Provenance | None:
    record = core.record
    if record is None:
        return None
    return Provenance(**{field: record.get(field) for field in Provenance._fields})
