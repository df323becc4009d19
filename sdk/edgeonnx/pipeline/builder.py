"""Writes nodes: standard ONNX operators with telling names, constants in nodes of their own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

# Since this version Unsqueeze takes its axes, and Softmax its axis, as they are given here.
BASE_OPSET = 13

Operand = ir.Value | np.ndarray | None


class Builder:
    """Collects the nodes of one part of a pipeline.

    Args:
        prefix: begins every name, as in `pipeline.photo`.

    Attributes:
        nodes: in the order they run.
        opset: the oldest standard operator set that has all of them.
    """

    def __init__(self, prefix: str) -> None:
        self.nodes: list[ir.Node] = []
        self.opset = BASE_OPSET
        self._prefix = prefix
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def op(self, op_type: str, *inputs: Operand, **attributes: Any) -> ir.Value:
        """Add a node of one output.

        Args:
            op_type: the operator's name.
            inputs: values of the graph, arrays (which become constants), None for what is left out.
            attributes: as the operator names them.
        """
        return self.ops(op_type, inputs, 1, "", **attributes)[0]

    def ops(
        self, op_type: str, inputs: Sequence[Operand], outputs: int, domain: str = "", **attributes: Any
    ) -> Sequence[ir.Value]:
        """Add a node of several outputs, or of another domain than the standard one."""
        values = [self.constant(value) if isinstance(value, np.ndarray) else value for value in inputs]
        name = f"{self._prefix}.{len(self.nodes)}.{op_type.lower()}"
        node = ir.node(op_type, values, attributes, domain=domain, num_outputs=outputs, name=name)
        for i, value in enumerate(node.outputs):
            value.name = f"{name}.out{i}" if outputs > 1 else f"{name}.out"
        self.nodes.append(node)
        return node.outputs

    def constant(self, array: np.ndarray) -> ir.Value:
        """A constant; equal ones are written once. Strings are arrays of dtype object or U."""
        text = array.dtype.kind in "OU"
        content = "\0".join(map(str, array.flat)).encode() if text else array.tobytes()
        key = (str(array.dtype), array.shape, content)
        if key not in self._constants:
            self._constants[key] = self.op("Constant", value=_text(array) if text else ir.tensor(array))
        return self._constants[key]

    def inner(self, name: str) -> "Builder":
        """For the body of a Scan or a Loop, whose names begin with this one's and `name`."""
        return Builder(self.name(name))

    def name(self, name: str) -> str:
        """A name of this builder's own."""
        return f"{self._prefix}.{name}"

    def cast(self, value: Operand, dtype: str) -> ir.Value:
        """To a type by numpy's name."""
        return self.op("Cast", value, to=ir.DataType.from_numpy(np.dtype(dtype)))

    def needs(self, opset: int) -> None:
        """Say that a node needs at least this standard operator set."""
        self.opset = max(self.opset, opset)

    def result(self, value: ir.Value, name: str, dtype: str, shape: Sequence[int | str | None]) -> ir.Value:
        """`value` as an output of the joined model: of that name, numpy dtype and shape."""
        node = self.op("Identity", value)
        node.name, node.shape = name, ir.Shape(shape)
        node.type = ir.TensorType(element_type(dtype))
        return node


def _text(array: np.ndarray) -> ir.StringTensor:
    return ir.StringTensor([str(item).encode() for item in array.flat], shape=ir.Shape(array.shape))


def element_type(dtype: str) -> ir.DataType:
    """ONNX's type for numpy's name of it, or `str`."""
    return ir.DataType.STRING if dtype == "str" else ir.DataType.from_numpy(np.dtype(dtype))
