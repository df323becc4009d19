"""Float16: half the size, and twice the speed where there is hardware for it; a CPU computes much of it in float32.

Rules:
    Weights and activations become float16, inputs and outputs where that is wanted.
    Operators that have no form in float16 stay in float32, between Casts (onnxruntime's list).
    So do nodes that a number beyond float16's range enters or leaves: a weight's, or one that was seen on samples.
    What is below float16's smallest number, 6e-8, becomes that number: an epsilon that is added is not to become 0.

The work is onnxruntime's `convert_float_to_float16`.
"""

import io
import warnings
from collections.abc import Iterable
from contextlib import redirect_stdout

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from edgeonnx.errors import ModelError, first_line
from edgeonnx.graph import free_name
from edgeonnx.model import Model
from edgeonnx.quiet import quiet_logging
from edgeonnx.ranges import Ranges

_LARGEST = float(np.finfo(np.float16).max)


def float16(
    model: Model, keep_io: bool = True, keep_operators: Iterable[str] = (), ranges: Ranges | None = None
) -> tuple[Model, int]:
    """The model in float16, by the rules above.

    Args:
        model: float; in subgraphs, weights alone are looked at for their range.
        keep_io: whether inputs and outputs stay float32.
        keep_operators: operator types that stay in float32 besides.
        ranges: of activations; None: not known.

    Returns:
        The new model and how many nodes compute in float16; the model itself and 0 if none does.

    Raises:
        ModelError: the converter can't convert the model; its words follow.
    """
    copy = model.copy()
    NameFixPass()(copy.ir)  # the converter knows nodes by name
    outputs = _made_once(copy.ir.graph)
    if not copy.ir.graph.outputs:
        return model, 0
    wide = {node.name or "" for node in beyond_float16(Model(copy.ir), ranges)}
    proto = _converted(Model(copy.ir), keep_io, list(keep_operators), sorted(wide))
    proto.producer_name, proto.producer_version = copy.ir.producer_name or "", copy.ir.producer_version or ""
    made = Model.from_proto(proto)
    _join_casts(made.ir.graph)
    values = {value.name: value for value in (*made.ir.graph.inputs, *made.ir.graph.outputs)}
    made.ir.graph.outputs[:] = [values[name] for name in outputs]
    done = len(half_nodes(made))
    return (made, done) if done else (model, 0)


def half_nodes(model: Model) -> tuple[str, ...]:
    """Names of the nodes that compute in float16, Casts left out."""
    return tuple(node.name or "" for node in model.ir.graph if node.op_type != "Cast" and _is_half(node))


def beyond_float16(model: Model, ranges: Ranges | None = None) -> dict[ir.Node, str]:
    """Nodes that meet a number which float16 does not have, with the tensor that holds it.

    Infinity is a number of float16's.
    """
    seen = ranges.by_tensor if ranges else {}
    wide = {name for name, limits in seen.items() if _beyond(np.array(limits))}
    found: dict[ir.Node, str] = {}
    for node in model.ir.graph.all_nodes():
        for value in (*node.inputs, *node.outputs):
            if value is not None and (value.name in wide or _wide_weight(value)):
                found[node] = value.name or ""
    return found


def _made_once(graph: ir.Graph) -> list[str | None]:
    """Leave each output once, and those alone that a node makes: the converter knows no others. All their names.

    A constant that is an output gets a node; an input that is returned as it came is put back by its name.
    """
    names = [value.name for value in graph.outputs]
    for value in dict.fromkeys(graph.outputs):
        if value.is_initializer() and not value.is_graph_input():
            copied = ir.node("Identity", [value], name=free_name(graph, f"{value.name}.copy"))
            name, value.name = value.name, free_name(graph, f"{value.name}.constant")
            copied.outputs[0].name, copied.outputs[0].type, copied.outputs[0].shape = name, value.type, value.shape
            graph.append(copied)
            graph.outputs[:] = [copied.outputs[0] if output is value else output for output in graph.outputs]
    graph.outputs[:] = dict.fromkeys(value for value in graph.outputs if value.producer() is not None)
    return names


def _wide_weight(value: ir.Value) -> bool:
    tensor = ir.convenience.get_const_tensor(value)
    return tensor is not None and tensor.dtype == ir.DataType.FLOAT and _beyond(tensor.numpy())


def _beyond(numbers: np.ndarray) -> bool:
    finite = np.abs(numbers[np.isfinite(numbers)])
    return bool(finite.max(initial=0) > _LARGEST)


def _converted(model: Model, keep_io: bool, operators: list[str], nodes: list[str]) -> onnx.ModelProto:
    # Imported here because it is slow to import, and few want it.
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    kept = [*DEFAULT_OP_BLOCK_LIST, *operators]
    try:
        # It logs, warns and prints what does not apply here.
        with quiet_logging(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            made: onnx.ModelProto = convert_float_to_float16(
                model.to_proto(), keep_io_types=keep_io, op_block_list=kept, node_block_list=nodes
            )
    except Exception as error:  # the converter raises what it stumbles over
        raise ModelError(
            f"float16 conversion failed: {first_line(error)}; name the operator in keep_operators"
        ) from error
    return made


def _join_casts(graph: ir.Graph) -> None:
    """Hand float32 from node to node as it is where the converter takes it through float16: there it may overflow."""
    for node in list(graph):
        narrow = node.inputs[0].producer() if node.op_type == "Cast" and node.inputs[0] is not None else None
        wide = narrow.inputs[0] if narrow is not None and narrow.op_type == "Cast" else None
        if wide is None or node.outputs[0].is_graph_output() or narrow is None:
            continue
        to = [cast.attributes.get_int("to", 0) for cast in (narrow, node)]
        if to == [ir.DataType.FLOAT16, ir.DataType.FLOAT] and wide.dtype == ir.DataType.FLOAT:
            node.outputs[0].replace_all_uses_with(wide)
            graph.remove(node, safe=True)
            if not narrow.outputs[0].uses():
                graph.remove(narrow, safe=True)


def _is_half(node: ir.Node) -> bool:
    """Whether a node reads or writes float16."""
    return any(value is not None and value.dtype == ir.DataType.FLOAT16 for value in (*node.inputs, *node.outputs))
