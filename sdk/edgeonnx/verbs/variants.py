"""The forms of a model that a bundle carries: each joined to the pipeline, checked, optimized, with golden outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeonnx.bundle.golden import Golden, make_golden
from edgeonnx.errors import ModelError, PipelineError, TargetError
from edgeonnx.model import Model, session_options
from edgeonnx.optimize.batch import fix_batch
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.optimize.passes.onnxruntime_offline import has_halves, level_on_device, optimized_offline
from edgeonnx.pipeline.graph import join, needed_opset, postprocessing, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.providers import short_name
from edgeonnx.quantize.saturation import saturating_layers
from edgeonnx.runtime._manifest import DTYPES, Provider, Variant
from edgeonnx.runtime._version import OLDEST_ONNXRUNTIME
from edgeonnx.targets import Target, load_target, oldest
from edgeonnx.targets.contrib import contrib_release
from edgeonnx.verbs.custom_operators import check_python_operators, library_releases
from edgeonnx.verbs.inspect import target_refusals
from edgeonnx.versions import numbers

Feeds = Mapping[str, np.ndarray]

_CPU = "CPUExecutionProvider"
_OPTIMIZING = ("extended", "all")
# Of the largest magnitude: what the order of float sums may change between two runs of the same nodes.
_ROUNDING = 1e-5
# Where onnxruntime computes float16 in float32 it leaves out roundings between nodes, other ones joined than apart.
_HALF_ROUNDING = 2e-2


@dataclass(frozen=True)
class Form:
    """One form of the model, before and after what packaging does to it.

    Attributes:
        core: as the user gave it; of a batch of one where the target takes fixed shapes alone.
        joined: with its pipeline, at an IR version that the target loads.
    """

    core: Model
    joined: Model


@dataclass(frozen=True)
class Shipped:
    """A form as it goes into the bundle.

    Attributes:
        info: what the manifest says of it, but for its files.
        model: the graph.
        golden: the samples with its outputs.
        notes: what a user should know of how it was made.
    """

    info: Variant
    model: Model
    golden: Golden
    notes: tuple[str, ...]


def make_form(core: Model, spec: PipelineSpec | None, bare: bool, profile: Target) -> Form:
    """Join a model to its pipeline and see that the target takes it.

    Raises:
        ModelError: an input or output is no tensor that numpy has, or is returned twice; an operator is in Python.
        PipelineError: the spec does not fit, or is not the one the model was quantized through.
        TargetError: the target refuses it.
    """
    _check_types(core)
    _check_pipeline(core, spec, bare)
    core = fix_batch(core) if profile.requires.fixed_shapes else core
    joined = join(raise_opset(core, needed_opset(core, spec)), spec) if spec else core
    if refused := target_refusals(joined, profile, core=core):
        raise TargetError(f"{profile.name} refuses the model: {'; '.join(refused)}")
    check_python_operators(joined)
    copy = joined.copy()
    copy.ir.ir_version = min(copy.ir_version, profile.caps.ir_version)
    return Form(core, Model(copy.ir))


def check_alike(forms: Sequence[Form]) -> None:
    """See that variants can stand in for each other. Raises ModelError where inputs or outputs differ."""
    first = forms[0].joined
    for number, form in enumerate(forms[1:], start=2):
        for what in ("inputs", "outputs"):
            expected, got = ([str(t) for t in getattr(model, what)] for model in (first, form.joined))
            if expected != got:
                raise ModelError(
                    f"variant {number}: expected the first one's {what}, {', '.join(expected)}; got {', '.join(got)}; "
                    "export both from the same model"
                )


def check_joined(form: Form, spec: PipelineSpec, feeds: Sequence[Feeds]) -> None:
    """See that the joined graph gives what preprocessing, model and postprocessing give one after another.

    Both run node by node, so that the same arithmetic is done in the same order.

    Raises:
        PipelineError: an output differs: integers at all, floats by more than rounding.
    """
    core = raise_opset(form.core, needed_opset(form.core, spec))
    parts = [preprocessing(core, spec), core, *([postprocessing(core, spec)] if spec.output else [])]
    sessions = [part.session(session_options(optimize=False)) for part in parts]
    whole = form.joined.session(session_options(optimize=False))
    names = [tensor.name for tensor in form.joined.outputs]
    rounding = _HALF_ROUNDING if has_halves(core) else _ROUNDING
    for index, feed in enumerate(feeds):
        values: dict[str, np.ndarray] = dict(feed)
        for part, session in zip(parts, sessions, strict=True):
            found = session.run(None, {tensor.name: values[tensor.name] for tensor in part.inputs})
            got = dict(zip([tensor.name for tensor in part.outputs], found, strict=True))
            values |= {name.removesuffix(".prepared"): array for name, array in got.items()}
        for name, joined in zip(names, whole.run(names, dict(feed)), strict=True):
            if not _same(np.asarray(joined), np.asarray(values[name]), rounding):
                raise PipelineError(
                    f"{name} of sample {index}: joined to its pipeline the model gives another result than the two "
                    "apart; please report this with the spec and the model"
                )


def ship(form: Form, profile: Target, feeds: Sequence[Feeds], keep_qdq: bool) -> Shipped:
    """Optimize a form for the target where that is safe, and record its golden outputs.

    Args:
        form: checked.
        profile: the target.
        feeds: golden samples, as the device will be fed.
        keep_qdq: leave the graph as it is, for tools that expect Quantize and Dequantize.

    Raises:
        DataError: the model does not run on a sample.
    """
    golden = make_golden(form.joined, feeds)
    level: str = profile.session.graph_optimization
    left = Shipped(_info(form, form.joined, profile, golden, level), form.joined, golden, ())
    if keep_qdq or level not in _OPTIMIZING or [provider.name for provider in profile.providers] != [_CPU]:
        return left
    try:
        made = optimized_offline(form.joined, arm=profile.platform.machine in ("aarch64", "arm64", "armv7l"))
        _check_operators(made, form.joined, profile)
        recorded = golden.outputs_of(made)
        if not golden.holds(recorded):
            raise ModelError("its golden outputs differ")
    except ModelError as error:
        return replace(left, notes=(f"the graph is left to the device to optimize: {error}",))
    level = level_on_device(made) if level == "all" else level
    return Shipped(_info(form, made, profile, recorded, level), made, recorded, ())


def name_variants(shipped: Sequence[Shipped]) -> list[Variant]:
    """Variants with names that differ: the precision, with CPU features and provider where another has the same."""
    infos: list[Variant] = []
    for one in shipped:
        rivals = [other for other in shipped if other.info.precision == one.info.precision]
        on = [short_name(provider.name) for provider in one.info.providers[:1]]
        name = "-".join((one.info.precision, *one.info.features, *on)) if len(rivals) > 1 else one.info.precision
        taken = {info.name for info in infos}
        number = next(n for n in range(1, len(shipped) + 1) if (name if n == 1 else f"{name}-{n}") not in taken)
        infos.append(one.info._replace(name=name if number == 1 else f"{name}-{number}"))
    return infos


def _info(form: Form, model: Model, profile: Target, golden: Golden, level: str) -> Variant:
    return Variant(
        name="",
        file="",
        precision=_precision(form.joined),
        opset=model.opset,
        ir_version=model.ir_version,
        minimum=_oldest(model),
        features=_features(form, profile),
        graph_optimization=level,
        tolerance=golden.tolerance,
        providers=(Provider(_CPU),) if profile.compilation else (),  # on the accelerator runs what is compiled for it
    )


def _check_types(model: Model) -> None:
    """See that a device can feed the inputs and take the outputs, by name and with numpy alone."""
    names = [tensor.name for tensor in model.outputs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ModelError(f"{twice[0]} is returned twice; give each output a name of its own, with an Identity")
    for tensor in (*model.inputs, *model.outputs):
        if tensor.dtype not in DTYPES:
            kinds = ", ".join(DTYPES)
            raise ModelError(f"{tensor}: expected a tensor that numpy has, {kinds}; convert it inside the model")


def _check_pipeline(core: Model, spec: PipelineSpec | None, bare: bool) -> None:
    """See that the pipeline is the one the model was quantized through."""
    through = (core.record or {}).get("pipeline")
    if through is not None and spec is None and not bare:
        raise PipelineError("the model was quantized through a pipeline; give it with --pipeline, or say --bare")
    if through is not None and spec is not None and through != spec.fingerprint:
        raise PipelineError(
            f"the model was quantized through the pipeline {through[:12]}, got {spec.fingerprint[:12]}; "
            "package it with the same spec, or quantize it again through this one"
        )


def _same(one: np.ndarray, other: np.ndarray, rounding: float) -> bool:
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    wide = [array.astype(np.float64) for array in (one, other)]
    largest = max((float(np.abs(array[np.isfinite(array)]).max(initial=0)) for array in wide), default=0.0)
    return bool(np.isclose(wide[0], wide[1], rtol=rounding, atol=rounding * largest, equal_nan=True).all())


def _check_operators(made: Model, joined: Model, profile: Target) -> None:
    """Raises ModelError where the optimized graph has operators that the target's oldest onnxruntime lacks."""
    own = {(node.domain, node.op_type) for node in joined.ir.graph.all_nodes()}
    for node in made.ir.graph.all_nodes():
        if (node.domain, node.op_type) in own:
            continue
        release = contrib_release(node.domain, node.op_type, node.attributes, made.opset)
        if release is None or numbers(release) > numbers(profile.onnxruntime.minimum):
            raise ModelError(f"{node.op_type} is not in onnxruntime {profile.onnxruntime.minimum}")


def _features(form: Form, profile: Target) -> tuple[str, ...]:
    """What a CPU must have for the integers to come out as they should: dot products, where sums would saturate."""
    if profile.platform.machine not in ("x86_64", "AMD64") or profile.arithmetic.u8s8 == "unknown":
        return ()
    made_for = (form.core.record or {}).get("target")
    if made_for and load_target(made_for).arithmetic.u8s8 == "saturating":
        return ()  # it has passed the gate with what saturates
    quantized = any(node.op_type == "QuantizeLinear" for node in form.core.ir.graph)
    return ("vnni",) if quantized and saturating_layers(form.core) else ()


def _oldest(model: Model) -> str:
    """The oldest onnxruntime that loads the model and that the device's runtime was run with."""
    nodes = model.ir.graph.all_nodes()
    operators = [contrib_release(node.domain, node.op_type, node.attributes, model.opset) for node in nodes]
    releases = {oldest(model.opset, model.ir_version), OLDEST_ONNXRUNTIME, *(r for r in operators if r)}
    releases |= library_releases(model)
    return max(releases, key=numbers)


def _precision(model: Model) -> str:
    """A word for people: the smallest integer type that weights are kept in, else the float type."""
    kinds = {str(v.dtype).lower() for v in model.ir.graph.initializers.values() if v.dtype is not None}
    quantized = any(node.op_type == "DequantizeLinear" for node in model.ir.graph)
    if quantized:
        return "int4" if kinds & {"int4", "uint4"} else "int8"
    return next((kind for kind in ("float16", "bfloat16", "float64") if kind in kinds), "float32")
