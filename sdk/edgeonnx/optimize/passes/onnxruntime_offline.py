"""The graph as onnxruntime's own optimizer leaves it, done once here in place of on every start of a device.

Rules:
    Up to its level `extended`: fused operators, which compute the same on any CPU. What `all` adds are layouts of the
        one CPU it runs on, which are left to the device.
    Many of the operators are onnxruntime's own (`com.microsoft`): nothing else runs the result. So it comes last.
    LayerNormalization and the Add before it stay apart: SkipLayerNormalization takes 5 to 8 times as long as the two
        (measured with onnxruntime 1.32 on x86-64, one thread). Of its other fusions none is slower by more than 7 %.
"""

import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import RemoveUnusedOpsetsPass

from edgeonnx.errors import ModelError
from edgeonnx.model import Model, session_options

# On x86-64 int8 activations become uint8, which its kernels are faster on; Arm's take int8 as it is.
_INT8_STAYS = "session.qdqisint8allowed"
_LEFT_OUT = ("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
# Constants folded may be larger than what they are computed from: a bundle pays for them, a start hardly gains.
_GROWTH = 1.1
_SPARE = 64 << 10
_CONVOLUTIONS = {"Conv", "FusedConv", "QLinearConv", "ConvInteger", "NhwcFusedConv", "ConvTranspose"}


def onnxruntime_offline(model: Model, arm: bool) -> tuple[Model, int]:
    """The optimized graph, where it would serve a device.

    Args:
        model: as it would be shipped.
        arm: whether the device is an Arm CPU.

    Returns:
        The new model and how many nodes and weights are new or gone; the model itself and 0 if none is, or if it would
        not serve.
    """
    try:
        made = optimized_offline(model, arm)
    except ModelError:
        return model, 0
    before, after = _parts(model), _parts(made)
    changed = (after - before).total() + (before - after).total()
    return (made, changed) if changed else (model, 0)


def optimized_offline(model: Model, arm: bool) -> Model:
    """As `onnxruntime_offline`, but says why it would not serve.

    Raises:
        ModelError: why.
    """
    if has_halves(model):
        raise ModelError("float16, which some CPUs have kernels for and others compute in float32")
    options = session_options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry(_INT8_STAYS, "1" if arm else "0")
    options.add_session_config_entry(*_LEFT_OUT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(path)
        Model(model.ir).session(options)
        made = Model.from_proto(onnx.load(path))
    # Domains that onnxruntime imports and nothing uses: an older one may not know them.
    RemoveUnusedOpsetsPass()(made.ir)
    if (made.inputs, made.outputs) != (model.inputs, model.outputs):
        raise ModelError("onnxruntime changes the inputs' or outputs' types")
    if made.weight_bytes > model.weight_bytes * _GROWTH + _SPARE:
        raise ModelError(f"constants, once folded, take {made.weight_bytes} bytes in place of {model.weight_bytes}")
    return Model(made.ir)


def _parts(model: Model) -> Counter[str]:
    """Operators and types of weights, of which onnxruntime changes some in whatever it optimizes."""
    nodes = (f"{node.domain}.{node.op_type}" for node in model.ir.graph.all_nodes())
    return Counter([*nodes, *(str(value.dtype) for value in model.ir.graph.initializers.values())])


def level_on_device(model: Model) -> str:
    """What is left for the device to optimize in what `optimized_offline` made: layouts for convolutions, else nothing.

    Measured on x86-64 with onnxruntime 1.32: convolutional models are 1.4 to 2.6 times as fast at `all` as below;
    models of matrix products are as fast at any level.
    """
    return "all" if any(node.op_type in _CONVOLUTIONS for node in model.ir.graph.all_nodes()) else "disabled"


def has_halves(model: Model) -> bool:
    """Whether a tensor is of 16-bit floats."""
    return any(tensor.dtype in _HALVES for tensor in _tensors(model))


def _tensors(model: Model) -> list[ir.Value]:
    graph = model.ir.graph
    outputs = [value for node in graph.all_nodes() for value in node.outputs]
    return [*graph.inputs, *graph.initializers.values(), *outputs]
