"""Take channels out of a model: cut weights, and correct what nodes say of sizes.

Rules:
    Weights are cut along every axis that has channels which go.
    A depthwise convolution's `group` is the number of channels left; any other's stays.
    Sizes written down (Reshape, Expand, Resize, Split) are counted again, positions (Slice, Gather) found again, where
    they are weights, also such that a Concat joins with sizes that the graph computes; what it computes from shapes it
    keeps computing.
    Shapes that the model states of inner tensors are taken out, and what nothing needs any more.
"""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeonnx.graph import STANDARD, constant
from edgeonnx.model import Model
from edgeonnx.prune.channels import Channels, stays
from edgeonnx.prune.corrections import CORRECTIONS, Cut


def remove(model: Model, channels: Channels, gone: Collection[int]) -> Model:
    """The model without some channels.

    Args:
        model: the one that `channels` were found in.
        channels: all of them.
        gone: those to take out; at least one of each group must stay.
    """
    if not gone:
        return model
    copy = model.copy()
    graph, cut = copy.ir.graph, Cut(channels, gone)
    for node in list(graph):
        correct = CORRECTIONS.get(node.op_type)
        if correct is not None and node.domain in STANDARD:
            correct(node, cut)
    for (name, axis), labels in channels.weights.items():
        mask = stays(labels, gone)
        if not mask.all():
            value = graph.initializers[name]
            array = constant(value)
            assert array is not None
            set_weight(value, np.compress(mask, array, axis))
    for value in (output for node in graph for output in node.outputs):
        if not value.is_graph_output():
            value.shape = None
    RemoveUnusedNodesPass()(copy.ir)
    return Model(copy.ir)


def set_weight(value: ir.Value, array: np.ndarray) -> None:
    """Give an initializer another array, in place, for all its readers."""
    tensor = ir.tensor(np.ascontiguousarray(array), name=value.name)
    value.const_value, value.shape = tensor, ir.Shape(array.shape)
