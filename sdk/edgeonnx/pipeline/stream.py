"""What a pipeline says of streams: how audio is cut into samples, and the state that goes from run to run."""

from types import MappingProxyType

from edgeonnx.errors import PipelineError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.inputs import AudioInput
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import Stream


def stream_of(spec: PipelineSpec | None, model: Model) -> Stream | None:
    """The manifest's `stream`; None where the spec has neither windows nor state.

    Raises:
        PipelineError: several inputs are cut into windows; or as `check_state`.
    """
    if spec is None:
        return None
    check_state(spec, model)
    state = MappingProxyType(dict(spec.state))
    found = {name: part for name, part in spec.input.items() if isinstance(part, AudioInput) and part.stream}
    if len(found) > 1:
        raise PipelineError(f"input.{list(found)[1]}.stream: one input can be a stream, input.{next(iter(found))} is")
    for name, part in found.items():
        assert part.stream is not None
        window, hop = part.stream.counted(part.device_rate)
        return Stream(name, window, hop, part.device_rate, state)
    return Stream(state=state) if state else None


def check_state(spec: PipelineSpec, model: Model) -> None:
    """See that what a run hands to the next fits.

    Raises:
        PipelineError: no such input or output, one that a part of the spec makes or takes, or they differ in type or
            shape.
    """
    inputs = {tensor.name: tensor for tensor in model.inputs}
    outputs = {tensor.name: tensor for tensor in model.outputs}
    made = {target: name for name, part in spec.input.items() for target in part.targets(name, model.inputs)}
    taken = spec.output.consumes(model.outputs) if spec.output is not None else ()
    for source, result in spec.state.items():
        where = f"state.{source}"
        if source not in inputs:
            raise PipelineError(f"{where}: expected one of the model's inputs, {', '.join(inputs)}")
        if result not in outputs:
            raise PipelineError(f"{where}: expected one of the model's outputs, {', '.join(outputs)}, got {result!r}")
        if source in made:
            raise PipelineError(f"{where}: input.{made[source]} becomes this input; it can't be state as well")
        if result in taken:
            raise PipelineError(f"{where}: [output] consumes {result}; state must stay as the model gives it")
        if not _alike(inputs[source], outputs[result]):
            raise PipelineError(f"{where}: expected an output like {inputs[source]}, got {outputs[result]}")


def _alike(one: TensorSpec, other: TensorSpec) -> bool:
    """Of one type, and of shapes that differ at most in the names of free dimensions."""
    if one.shape is None or other.shape is None:
        return one.dtype == other.dtype
    pairs = zip(one.shape, other.shape, strict=False)
    same = all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in pairs)
    return one.dtype == other.dtype and len(one.shape) == len(other.shape) and same
