"""How far a device's outputs may be from this machine's, measured by disturbing the model.

Integer kernels of different CPUs differ where a value lies on the edge of two quantization steps: one of them rounds
up, the other down. What a step does to an output is found by running the model with noise of one step on every
quantized tensor from which the output is computed in float.
"""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model, session_options

RTOL = 1e-3
_FLOOR = 1e-4
_SEEDS = (1, 2, 3)


class Tolerances:
    """Absolute tolerance of each float output, widened sample by sample.

    It is the largest of: twice the difference between integer kernels and none (graph optimizations on and off), what
    one quantization step does to the output, and 1e-4 of its largest magnitude.

    Args:
        model: as it will stand in a bundle.
    """

    def __init__(self, model: Model) -> None:
        self._names = [tensor.name for tensor in model.outputs]
        plain = session_options(optimize=False)
        self._unfused = model.session(plain)
        self._disturbed = [noisy.session(plain) for noisy in _disturbed(model)]
        self.atol = dict.fromkeys(self._names, 0.0)

    def widen(self, feeds: dict[str, np.ndarray], expected: list[np.ndarray]) -> None:
        """Take one sample into account.

        Args:
            feeds: input name -> array.
            expected: the outputs that were recorded for it.
        """
        unfused = self._unfused.run(self._names, feeds)
        noisy = [session.run(self._names, feeds) for session in self._disturbed]
        for index, name in enumerate(self._names):
            if expected[index].dtype.kind == "f":
                rounding = 2 * _distance(unfused[index], expected[index])
                step = max((_distance(outputs[index], unfused[index]) for outputs in noisy), default=0.0)
                self.atol[name] = max(self.atol[name], rounding, step, _FLOOR * _magnitude(expected[index]))


def _disturbed(model: Model) -> Iterator[Model]:
    """Copies of a quantized model with noise of one step where integers end, one a seed; none for a float model."""
    for seed in _SEEDS:
        copy = model.copy()
        ends = _ends(copy.ir.graph)
        for position, node in enumerate(ends):
            _add_noise(copy.ir.graph, node, f"edgeonnx.noise.{position}", seed * len(ends) + position)
        if ends:
            yield Model(copy.ir)


def _ends(graph: ir.Graph) -> list[ir.Node]:
    """Where integers end: the last DequantizeLinear nodes of activations on the way to each output."""
    found: dict[ir.Node, None] = {}
    seen: set[ir.Node] = set()
    waiting = [value.producer() for value in graph.outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.op_type != "DequantizeLinear":
            waiting += [value.producer() for value in node.inputs if value is not None]
        elif _of_activation(node):
            found[node] = None
    return list(found)


def _of_activation(node: ir.Node) -> bool:
    quantized, scale = node.inputs[0], node.inputs[1]
    if quantized is None or quantized.const_value is not None:
        return False
    return scale is not None and scale.const_value is not None and scale.const_value.size == 1


def _add_noise(graph: ir.Graph, node: ir.Node, name: str, seed: int) -> None:
    """Add one step, up or down at random, to what a DequantizeLinear gives.

    Chance comes from Dropout's mask: of the random operators it alone has kernels for opset 22 and newer.
    """
    scale = node.inputs[1]
    assert scale is not None and scale.const_value is not None
    step = float(scale.const_value.numpy().reshape(-1)[0])
    value = node.outputs[0]
    readers = list(value.uses())
    arrays = {"ratio": np.float32(0.5), "training": True, "up": np.float32(step), "down": np.float32(-step)}
    constants = [
        ir.Value(name=f"{name}.{key}", const_value=ir.tensor(np.asarray(array))) for key, array in arrays.items()
    ]
    for constant in constants:
        graph.register_initializer(constant)
    chance = ir.node("Dropout", [value, *constants[:2]], {"seed": seed}, num_outputs=2, name=name)
    noise = ir.node("Where", [chance.outputs[1], *constants[2:]], name=f"{name}.step")
    noisy = ir.node("Add", [value, noise.outputs[0]], name=f"{name}.add")
    noisy.outputs[0].type, noisy.outputs[0].shape = value.type, value.shape
    for reader, index in readers:
        reader.replace_input_with(index, noisy.outputs[0])
    if value.is_graph_output():
        value.name, noisy.outputs[0].name = f"{name}.before", value.name
        graph.outputs[:] = [noisy.outputs[0] if output is value else output for output in graph.outputs]
    graph.insert_after(node, [chance, noise, noisy])


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference where both are finite."""
    if one.shape != other.shape:
        return 0.0
    finite = np.isfinite(one) & np.isfinite(other)
    difference = np.abs(one[finite].astype(np.float64) - other[finite].astype(np.float64))
    return float(difference.max(initial=0.0))


def _magnitude(array: np.ndarray) -> float:
    return float(np.abs(array[np.isfinite(array)].astype(np.float64)).max(initial=0.0))
