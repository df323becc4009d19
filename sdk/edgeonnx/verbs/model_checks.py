"""What a target, and a device, make of a model."""

from collections.abc import Iterator

from edgeonnx.anatomy import Anatomy, dissect
from edgeonnx.doctor.cpu import check_float16, check_int8, quantized
from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning
from edgeonnx.doctor.known_bad import check_known_bad
from edgeonnx.doctor.libraries import check_library
from edgeonnx.doctor.memory import check_memory, least
from edgeonnx.doctor.trial import run_once
from edgeonnx.doctor.wheels import check_wheel
from edgeonnx.errors import ModelError
from edgeonnx.libraries import libraries_for, needs_extensions
from edgeonnx.model import Model
from edgeonnx.quantize.saturation import saturating_layers
from edgeonnx.runtime._platform import this_platform
from edgeonnx.targets import Target, load_target, refused
from edgeonnx.targets.contrib import contrib_release
from edgeonnx.verbs.custom_operators import (
    check_python_operators,
    library_releases,
    missing_here,
    served,
    usable_libraries,
)
from edgeonnx.verbs.device_checks import expected_device, scene
from edgeonnx.verbs.inspect import model_facts
from edgeonnx.versions import numbers

_CPU = "CPUExecutionProvider"


def model_findings(model: Model, target: Target, device: Device | None = None) -> list[Finding]:
    """What can be told of a model for a target without running it.

    Args:
        model: as it would be shipped.
        target: the device's profile.
        device: its facts; None: the profile's.
    """
    device = device or expected_device(target)
    anatomy = dissect(model)
    operators = frozenset(anatomy.operators)
    return [
        *_static(model, anatomy, target),
        *_operators(model, target),
        *_extensions(model, device),
        *_libraries(model, target, device),
        *check_known_bad(scene(device, target, operators, model.opset)),
        *_precision(model, operators, target, device),
    ]


def trial_findings(model: Model, target: Target, device: Device) -> Iterator[Finding]:
    """Run the model once here, and hold the memory that took against the device's."""
    need = least(model.weight_bytes)
    missing = missing_here(model)
    if missing is not None:
        yield warning("run here", f"it was not tried: {missing}", f"give the library for {this_platform()} too")
    elif model.path is not None and target.platform.os != "browser":
        trial = run_once(model.path, _registered(model))
        need = trial.need or need
        if trial.failure is not None and trial.need is None:
            yield error("load here", trial.failure, trial.mend)
        elif trial.failure is not None:  # free dimensions may not all be 1
            yield warning("run here", f"it loads, and does not run on zeros: {trial.failure}", trial.mend)
    yield check_memory(need, device)


def _static(model: Model, anatomy: Anatomy, target: Target) -> Iterator[Finding]:
    """What the profile refuses, and what it accepts."""
    facts, caps = model_facts(model, anatomy.domains, target), target.caps
    refusals = {refusal.subject: refusal for refusal in refused(target, facts)}
    accepted = {
        "opset": f"{facts.opset}, of at most {caps.opset}",
        "operators": f"{sum(anatomy.operators.values())} nodes of {len(anatomy.operators)} kinds",
        "input shapes": ", ".join(map(str, model.inputs)),
        "size": f"{facts.bytes:,} bytes",
    }
    for subject, message in accepted.items():
        refusal = refusals.get(subject)
        yield error(*refusal) if refusal else ok(subject, message)
    if facts.ir_version > caps.ir_version:
        told = f"{facts.ir_version}, onnxruntime {target.onnxruntime.minimum} reads up to {caps.ir_version}"
        yield warning("IR version", told, "edgeonnx package lowers it; for the file itself: set model.ir_version")
    else:
        yield ok("IR version", f"{facts.ir_version}, of at most {caps.ir_version}")


def _operators(model: Model, target: Target) -> Iterator[Finding]:
    """Operators that onnxruntime has beside ONNX's own, and got after the release that the target has."""
    minimum = target.onnxruntime.minimum
    newer: dict[str, str] = {}
    for node in model.ir.graph.all_nodes():
        release = contrib_release(node.domain, node.op_type, node.attributes, model.opset)
        if release is not None and numbers(release) > numbers(minimum):
            newer[node.op_type] = release
    for name, release in newer.items():
        yield error(
            "operators",
            f"{name} came with onnxruntime {release}, the target has {minimum}",
            f"put onnxruntime {release} on the device, or package the model before it was optimized for a newer one",
        )


def _extensions(model: Model, device: Device) -> Iterator[Finding]:
    """Operators of onnxruntime-extensions."""
    if not needs_extensions(model.ir):
        return
    if not device.real:
        yield check_wheel("onnxruntime-extensions", device)
    elif device.extensions is None:
        mend = "pip install onnxruntime-extensions"
        yield error("extensions", "the graph asks for onnxruntime-extensions, which is not installed", mend)
    else:
        yield ok("extensions", f"onnxruntime-extensions {device.extensions}")


def _precision(model: Model, operators: frozenset[str], target: Target, device: Device) -> Iterator[Finding]:
    """What the device's arithmetic makes of integers and of half floats."""
    on_cpu = target.providers[0].name == _CPU
    if quantized(operators) and on_cpu:
        saturates = target.arithmetic.u8s8 == "saturating" and bool(saturating_layers(model))
        made_for = (model.record or {}).get("target")
        spared = bool(made_for) and load_target(str(made_for)).arithmetic.u8s8 == "saturating"
        yield check_int8(device, saturates, spared)
    if any(str(value.dtype).upper() == "FLOAT16" for value in model.ir.graph.initializers.values()):
        yield check_float16(on_cpu)


def _libraries(model: Model, target: Target, device: Device) -> Iterator[Finding]:
    """Operators that no target has by itself, and the libraries that were given for them."""
    libraries = usable_libraries(target)
    for name in served(model, libraries):
        yield ok("operators", f"{name} is in {', '.join(lib.path.name for lib in libraries if lib.has(name))}")
    for library in libraries:
        yield check_library(library.path.name, library.binary, device)
    minimum = target.onnxruntime.minimum
    for release in library_releases(model):
        if numbers(release) > numbers(minimum):
            told = f"the library asks for the C API of onnxruntime {release}, the target has {minimum}"
            mend = f"put onnxruntime {release} on the device, or have the library ask for an older one: GetApi"
            yield error("library", told, f"{mend}({numbers(minimum)[1]})")
    try:
        check_python_operators(model)
    except ModelError as problem:
        yield error("operators", *str(problem).rsplit("; ", 1))


def _registered(model: Model) -> tuple[str, ...]:
    try:
        return libraries_for(model.ir)
    except ModelError:  # onnxruntime-extensions is not installed, which the run will say
        return ()
