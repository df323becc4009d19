"""What a target refuses about a model, told without running it."""

from dataclasses import dataclass

from edgeonnx.errors import TargetError
from edgeonnx.targets.onnxruntime import oldest
from edgeonnx.targets.profile import Target


@dataclass(frozen=True)
class ModelFacts:
    """What the checks ask of a model.

    Attributes:
        opset: version of the default operator set it imports.
        ir_version: version of the ONNX file format it is written in.
        domains: operator domains its nodes use; the default one is `""`.
        inputs_fixed: whether every dimension of every input is a number.
        external_data: whether weights lie in files beside the model.
        bytes: size of the model with all its weights, in bytes.
    """

    opset: int
    ir_version: int
    domains: frozenset[str]
    inputs_fixed: bool
    external_data: bool
    bytes: int


def refusals(target: Target, facts: ModelFacts) -> list[str]:
    """Why a target would refuse a model: one line each, with expected, got and the fix; empty if it would not.

    An IR version above the target's is no refusal: packaging lowers it, as the opset it carries allows.
    """
    found = (_opset(target, facts), _domains(target, facts), _shapes(target, facts), _size(target, facts))
    return [line for line in found if line is not None]


def _opset(target: Target, facts: ModelFacts) -> str | None:
    most = target.caps.opset
    if facts.opset <= most:
        return None
    lower = f"export the model with opset {most}, or convert it down with onnx.version_converter"
    try:
        # IR version 1: packaging lowers the model's own, so it does not decide which release is needed.
        upgrade = f"; or put onnxruntime {oldest(facts.opset, 1)} on the device"
    except TargetError:
        upgrade = ""
    return (
        f"opset: expected at most {most}, the highest of onnxruntime {target.onnxruntime.minimum}, "
        f"got {facts.opset}; {lower}{upgrade}"
    )


def _domains(target: Target, facts: ModelFacts) -> str | None:
    foreign = sorted(facts.domains - set(target.requires.domains))
    if not foreign:
        return None
    allowed = ", ".join(domain for domain in target.requires.domains if domain)
    return (
        f"operators: expected domains {allowed}, got {', '.join(foreign)}; "
        "replace these operators with standard ones, or move them out of the model"
    )


def _shapes(target: Target, facts: ModelFacts) -> str | None:
    if facts.inputs_fixed or not target.requires.fixed_shapes:
        return None
    return (
        "input shapes: expected numbers in every dimension, got a free one; "
        "fix it with python -m onnxruntime.tools.make_dynamic_shape_fixed"
    )


def _size(target: Target, facts: ModelFacts) -> str | None:
    most = target.requires.max_model_bytes
    if facts.bytes <= most:
        return None
    where = ", external data included" if facts.external_data else ""
    return f"size: expected at most {most} bytes, got {facts.bytes}{where}; quantize the model or take a smaller one"
