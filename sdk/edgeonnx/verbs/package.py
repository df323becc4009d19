"""`edgeonnx package`: join the pipeline, check against the target, make golden samples, write the bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from itertools import islice
from pathlib import Path

import numpy as np

from edgeonnx.bundle.archive import LABELS, PIPELINE, write_bundle
from edgeonnx.bundle.golden import Golden
from edgeonnx.bundle.health import health_entries
from edgeonnx.bundle.weights import split_weights
from edgeonnx.calibration.samples import Data
from edgeonnx.errors import InputError, ModelError
from edgeonnx.files import check_writable
from edgeonnx.libraries import needs_extensions
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.graph import entries, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.pipeline.stream import stream_of
from edgeonnx.runtime._manifest import (
    Baseline,
    InputSpec,
    Manifest,
    Media,
    OutputSpec,
    PipelineInfo,
    Provenance,
    Provider,
    Requirement,
    SessionSettings,
    Variant,
)
from edgeonnx.runtime._manifest import (
    Golden as GoldenInfo,
)
from edgeonnx.targets import Target, load_target
from edgeonnx.verbs.baselines import known_baselines
from edgeonnx.verbs.compile import compile_form
from edgeonnx.verbs.custom_operators import bundled
from edgeonnx.verbs.data import as_model, as_pipeline, open_entries
from edgeonnx.verbs.foretell import with_placement
from edgeonnx.verbs.labels import read_labels, read_result
from edgeonnx.verbs.model_checks import model_findings
from edgeonnx.verbs.noise import noise
from edgeonnx.verbs.proof import proven
from edgeonnx.verbs.variants import Form, Shipped, check_alike, check_joined, make_form, name_variants, ship
from edgeonnx.versions import numbers

_TOOLS = ("edgeonnx", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class PackageResult:
    """A bundle that was written.

    Attributes:
        path: the `.edge` file.
        bytes: its size.
        manifest: what it says of itself; see docs/bundle.md.
        target: the profile it was packaged for.
        notes: what a user should know of how it was made.
    """

    path: Path
    bytes: int
    manifest: Manifest
    target: Target
    notes: tuple[str, ...] = ()


def package(
    model: str | Path | Model,
    target: str,
    output: str | Path,
    *,
    variants: Sequence[str | Path | Model] = (),
    name: str | None = None,
    version: str = "1",
    labels: str | Path | Sequence[str] | None = None,
    pipeline: str | Path | PipelineSpec | None = None,
    data: Data | None = None,
    bare: bool = False,
    keep_qdq: bool = False,
    golden_samples: int = 3,
    provider_python: Path | None = None,
) -> PackageResult:
    """Put a model into one verified file for a device.

    Args:
        model: float or quantized, or its path.
        target: name or path of a profile.
        output: the `.edge` file to write.
        variants: other forms of the same model, in order of preference after it: the device takes the first that its
            CPU has the features for and that gives its golden outputs there.
        name: what to call it; None: the output's name.
        version: of the user's own counting.
        labels: class names, or a file with one a line.
        pipeline: pre- and postprocessing to join to the model: a spec or its path.
        data: where golden samples come from; None: noise in the calibrated range.
        bare: leave the pipeline out although the model was quantized through one: the device's program does its work.
        keep_qdq: leave the graph as it is joined, in place of optimizing it for a target that runs on its CPU.
        golden_samples: how many.
        provider_python: an interpreter whose onnxruntime has the target's provider, for a target that models are
            compiled for; None: look for one.

    Raises:
        TargetError: no such target, or it refuses the model.
        PipelineError: the spec does not fit, or is not the one the model was quantized through.
        EdgeonnxError: other bad input; see `edgeonnx.errors`.
    """
    output = Path(output)
    for source in (model, *variants):
        check_writable(output, source.path if isinstance(source, Model) else source)
    if "/" in (name or ""):
        raise InputError(f"name: expected text without '/', got {name!r}; say where to write with -o")
    profile, spec = load_target(target), as_pipeline(pipeline)
    forms = [make_form(as_model(source), spec, bare, profile) for source in (model, *variants)]
    check_alike(forms)
    feeds = _feeds(forms[0], spec, data, golden_samples)
    if spec is not None:
        for form in forms:
            check_joined(form, spec, feeds)
    shipped = [proven(ship(form, profile, feeds, keep_qdq), profile, provider_python) for form in forms]
    compiled, note = compile_form(forms[0], spec, profile, shipped[0], provider_python)
    shipped = [compiled, *shipped] if compiled else shipped
    shipped = [with_placement(one, profile, provider_python) for one in shipped]
    infos, files = _model_files(shipped)
    manifest = _manifest(name or output.stem, version, profile, forms[0], spec, shipped[0].golden, infos)
    baselines = known_baselines([form.core for form in forms], spec, data)
    manifest, files = _attach(manifest, files, forms[0], spec, read_labels(labels), baselines)
    manifest = manifest._replace(golden=GoldenInfo(len(feeds), "data" if data is not None else "generated"))
    for info, one in zip(infos, shipped, strict=True):
        files |= one.golden.entries(info.name)
    needs, libraries = bundled([form.joined for form in forms], profile)
    manifest = write_bundle(output, manifest._replace(custom_ops=needs), {**files, **libraries})
    notes = [note] if note else []
    notes += [f"{info.name}: {note}" for info, one in zip(infos, shipped, strict=True) for note in one.notes]
    notes += [str(found) for found in model_findings(forms[0].joined, profile) if found.level != "ok"]
    return PackageResult(output, output.stat().st_size, manifest, profile, tuple(notes))


def _feeds(form: Form, spec: PipelineSpec | None, data: Data | None, count: int) -> list[Mapping[str, np.ndarray]]:
    """Golden samples as the device will be fed: the user's, or noise in the calibrated range."""
    if data is not None:
        return list(islice(open_entries(data, entries(form.core, spec)).feeds(), count))
    for tensor in form.joined.inputs:
        _shape(tensor)
    media = {entry.spec.name: entry.media for entry in entries(form.core, spec)}
    inputs = [_audible(tensor, media.get(tensor.name)) for tensor in form.joined.inputs]
    return list(noise(form.joined, inputs, (form.core.record or {}).get("ranges", {}), count))


def _audible(tensor: TensorSpec, media: Media | None) -> TensorSpec:
    """Audio of any length: a second of it, or as much as the pipeline needs."""
    if media is None or media.rate is None or not tensor.shape or isinstance(tensor.shape[0], int):
        return tensor
    return replace(tensor, shape=(max(media.rate, media.min_samples), *tensor.shape[1:]))


def _model_files(shipped: Sequence[Shipped]) -> tuple[list[Variant], dict[str, bytes]]:
    """Variants with their names and entries, and those entries' bytes."""
    infos = name_variants(shipped)
    split = split_weights({info.name: one.model for info, one in zip(infos, shipped, strict=True)})
    files = {info.name: f"model.{info.name}.onnx" if len(infos) > 1 else "model.onnx" for info in infos}
    infos = [info._replace(file=files[info.name], weights=split.used[info.name]) for info in infos]
    return infos, {**{files[name]: data for name, data in split.models.items()}, **split.entries}


def _manifest(
    name: str,
    version: str,
    profile: Target,
    form: Form,
    spec: PipelineSpec | None,
    golden: Golden,
    variants: Sequence[Variant],
) -> Manifest:
    """The manifest but for what `_attach` adds."""
    taken = {entry.spec.name: entry for entry in entries(form.core, spec)}
    inputs, outputs = _ranked(form.joined.inputs, golden, 0), _ranked(form.joined.outputs, golden, 1)
    extended = needs_extensions(form.joined.ir)
    minimum = min((variant.minimum for variant in variants), key=numbers)
    return Manifest(
        name=name,
        version=version,
        target=profile.name,
        created_with={tool: installed(tool) for tool in _TOOLS},
        onnxruntime=Requirement(minimum, installed("onnxruntime")),
        extensions=installed("onnxruntime-extensions") if extended else None,
        variants=tuple(variants),
        inputs=tuple(InputSpec(t.name, t.dtype, _shape(t), taken[t.name].media, taken[t.name].missing) for t in inputs),
        outputs=tuple(OutputSpec(t.name, t.dtype, _shape(t)) for t in outputs),
        result=None,
        stream=stream_of(spec, form.core),
        pipeline=None,
        health=None,
        session=_session(profile),
        golden=GoldenInfo(0, "generated"),
        provenance=_provenance(form.core),
        files={},
    )


def _attach(
    manifest: Manifest,
    files: dict[str, bytes],
    form: Form,
    spec: PipelineSpec | None,
    labels: list[str],
    baselines: Mapping[str, Baseline],
) -> tuple[Manifest, dict[str, bytes]]:
    """Add labels, the pipeline's text and input health, each with its entry."""
    files = dict(files)
    result = read_result(form.core, form.joined, spec, labels)
    if result is not None and result.labels is not None:
        files[LABELS] = "".join(f"{label}\n" for label in labels).encode()
    pipeline = None
    if spec is not None:
        pipeline = PipelineInfo(spec.fingerprint, PIPELINE)
        files[PIPELINE] = spec.text.encode()
    prepare = preprocessing(form.core, spec) if spec is not None and spec.input else None
    health, more = health_entries(form.core, prepare, baselines)
    return manifest._replace(result=result, pipeline=pipeline, health=health), {**files, **more}


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
        memory=profile.session.memory,
        config=dict(profile.session.config),
    )


def _provenance(core: Model) -> Provenance | None:
    record = core.record
    if record is None:
        return None
    return Provenance(**{field: record.get(field) for field in Provenance._fields})
