"""Generic steps on one tensor, in the order given: `steps = ["softmax", {clip = [0, 0.5]}, {top_k = 5}]`.

Outputs and inputs of type `tensor` share them. A step without options may be written as its name alone.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import onnx_ir as ir
from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag

from edgeonnx.data import near
from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.step import (
    Argmax,
    Cast,
    Clip,
    Reshape,
    Scale,
    Shape,
    Sigmoid,
    Softmax,
    Step,
    Tensor,
    Threshold,
    TopK,
    Transpose,
)

_KINDS: dict[str, type[Step]] = {
    next(iter(kind.model_fields)): kind
    for kind in (Softmax, Sigmoid, Argmax, Clip, Transpose, Cast, Threshold, TopK, Scale, Reshape)
}


def _named(step: Any) -> Any:
    """A step as a table of one entry; its name checked."""
    if isinstance(step, Step):
        return step
    if not isinstance(step, str) and not (isinstance(step, dict) and len(step) == 1):
        raise ValueError("expected a name or a table of one entry, as {clip = [0, 1]}")
    name = step if isinstance(step, str) else next(iter(step))
    if name not in _KINDS:
        raise ValueError(f"no such step as {name!r}. {near(str(name), list(_KINDS))}")
    if not isinstance(step, str):
        return step
    field = _KINDS[name].model_fields[name]
    if field.is_required():
        raise ValueError(f"expected a value with it, as {{{name} = ...}}")
    return {name: field.default}


def _tag(step: Any) -> str:
    return (type(step) if isinstance(step, Step) else _KINDS[next(iter(step))]).__name__


def _in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if any(isinstance(step, TopK) for step in steps[:-1]):
        raise ValueError("top_k gives values and their places, so it is the last step")
    return steps


_Any = Annotated[
    Annotated[Softmax, Tag("Softmax")]
    | Annotated[Sigmoid, Tag("Sigmoid")]
    | Annotated[Argmax, Tag("Argmax")]
    | Annotated[Clip, Tag("Clip")]
    | Annotated[Transpose, Tag("Transpose")]
    | Annotated[Cast, Tag("Cast")]
    | Annotated[Threshold, Tag("Threshold")]
    | Annotated[TopK, Tag("TopK")]
    | Annotated[Scale, Tag("Scale")]
    | Annotated[Reshape, Tag("Reshape")],
    Discriminator(_tag),
]
# The type of a part's field `steps`.
Steps = Annotated[
    tuple[
        Annotated[_Any, BeforeValidator(_named, json_schema_input_type=Literal["softmax", "sigmoid", "argmax"] | _Any)],
        ...,
    ],
    AfterValidator(_in_order),
]


def apply(
    steps: Sequence[Step], value: ir.Value, dtype: str, shape: Shape, build: Builder, where: str = "output"
) -> Tensor:
    """Write the operators of all steps.

    Args:
        steps: in order.
        value: what they start from.
        dtype: its numpy name.
        shape: its shape, as far as known.
        build: takes the nodes.
        where: the part's place in the spec, begins errors: `output`, `input.NAME`.

    Raises:
        PipelineError: a step does not fit what it gets: the step, expected and got.
    """
    tensor = Tensor(value, dtype, shape)
    for i, step in enumerate(steps):
        try:
            tensor = step.apply(tensor, build)
        except PipelineError as error:
            raise PipelineError(f"{where}.steps.{i} {next(iter(type(step).model_fields))}: {error}") from None
    return tensor


def outcome(steps: Sequence[Step], dtype: str, shape: Shape, where: str = "output") -> tuple[str, Shape]:
    """Dtype and shape of what the steps give; raises as `apply` does, writes nothing."""
    done = apply(steps, ir.Value(name="value"), dtype, shape, Builder("check"), where)
    return done.dtype, done.shape
