"""What a target refuses about a model, told without running it."""

from dataclasses import dataclass
from typing import NamedTuple

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
        inputs_fixed: whether every dimension of every input but a free batch, which packaging fixes, is a number.
        external_data: whether weights lie in files beside the model.
        bytes: size of the model with all its weights, in bytes.
        unserved: why the libraries of custom operators that were given do not have those of other domains.
    """

    opset: int
    ir_version: int
    domains: frozenset[str]
    inputs_fixed: bool
    external_data: bool
    bytes: int
    unserved: str = ""


class Refusal(NamedTuple):
    """Why a target refuses a model: what was looked at, what was expected and got, and what mends it."""

    subject: str
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}; {self.mend}"


def refusals(target: Target, facts: ModelFacts) -> list[str]:
    """Why a target would refuse a model: one line each, with expected, got and the fix; empty if it would not."""
    return [str(refusal) for refusal in refused(target, facts)]


def refused(target: Target, facts: ModelFacts) -> list[Refusal]:
    """As `refusals`, in parts.

    An IR version above the target's is no refusal: packaging lowers it, as the opset it carries allows.
    """
    found = (_opset(target, facts), _domains(target, facts), _shapes(target, facts), _size(target, facts))
    return [refusal for refusal in found if refusal is not None]


def _opset(target: Target, facts: ModelFacts) -> Refusal | None:
    most = target.caps.opset
    if facts.opset <= most:
        return None
    lower = f"export the model with opset {most}, or convert it down with onnx.version_converter"
    try:
        # IR version 1: packaging lowers the model's own, so it does not decide which release is needed.
        upgrade = f"; or put onnxruntime {oldest(facts.opset, 1)} on the device"
    except TargetError:
        upgrade = ""
    release = target.onnxruntime.minimum
    message = f"expected at most {most}, the highest of onnxruntime {release}, got {facts.opset}"
    return Refusal("opset", message, f"{lower}{upgrade}")


def _domains(target: Target, facts: ModelFacts) -> Refusal | None:
    foreign = sorted(facts.domains - set(target.requires.domains))
    if not foreign:
        return None
    allowed = ", ".join(domain for domain in target.requires.domains if domain)
    mend = "replace these operators with standard ones, or move them out of the model"
    if facts.unserved:
        mend = f"{facts.unserved}; or {mend}"
    return Refusal("operators", f"expected domains {allowed}, got {', '.join(foreign)}", mend)


def _shapes(target: Target, facts: ModelFacts) -> Refusal | None:
    if facts.inputs_fixed or not target.requires.fixed_shapes:
        return None
    return Refusal(
        "input shapes",
        "expected numbers in every dimension but the batch, got a free one",
        "fix it with python -m onnxruntime.tools.make_dynamic_shape_fixed",
    )


def _size(target: Target, facts: ModelFacts) -> Refusal | None:
    most = target.requires.max_model_bytes
    if facts.bytes <= most:
        return None
    where = ", external data included" if facts.external_data else ""
    message = f"expected at most {most} bytes, got {facts.bytes}{where}"
    return Refusal("size", message, "quantize the model or take a smaller one")
