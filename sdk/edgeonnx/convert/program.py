"""PyTorch: an exported program, as the user's code gives it or from the file that `torch.export.save` wrote."""

import zipfile
from pathlib import Path
from typing import Any

from edgeonnx.convert._torch import Torch, array, dtype
from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.source import Array, Feeds, guarded, need
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec


class Program(Torch):
    """An exported program.

    Args:
        program: a `torch.export.ExportedProgram`.
        name: for messages.

    Raises:
        ConvertError: it takes no tensors, or complex ones.
    """

    def __init__(self, program: Any, name: str) -> None:
        super().__init__(name)
        self._program = program
        with guarded(f"{name} can't be converted"):
            self._module = program.module()
        values = {node.name: node.meta.get("val") for node in self._program.graph.nodes if node.op == "placeholder"}
        given = self._program.graph_signature.user_inputs
        self._fixed = {place: one for place, one in enumerate(given) if not self._is_tensor(values.get(one))}
        self._check_inputs({one: values[one] for place, one in enumerate(given) if place not in self._fixed})
        self.inputs = tuple(
            TensorSpec(
                name,
                dtype(values[name]),
                tuple(size if isinstance(size, int) else str(size) for size in values[name].shape),
            )
            for place, name in enumerate(given)
            if place not in self._fixed
        )

    def examples(self) -> Feeds | None:
        """See `Source`."""
        if self._program.example_inputs is None:
            return None
        leaves = self.tree.tree_leaves(self._program.example_inputs)
        tensors = [leaf for place, leaf in enumerate(leaves) if place not in self._fixed]
        return {spec.name: array(leaf) for spec, leaf in zip(self.inputs, tensors, strict=True)}

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        return name_axes(self._written(self._program, opset), axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        tensors = iter([self._tensor(feeds[spec.name]) for spec in self.inputs])
        count = len(self.inputs) + len(self._fixed)
        leaves = [self._fixed[place] if place in self._fixed else next(tensors) for place in range(count)]
        args, kwargs = self.tree.tree_unflatten(leaves, self._program.call_spec.in_spec)
        with guarded(f"{self.name} does not take these inputs"), self.torch.no_grad():
            return self._arrays(self._module(*args, **kwargs))

    def _is_tensor(self, value: object) -> bool:
        return isinstance(value, self.torch.Tensor)


def load_program(path: Path, trust: bool) -> Program:
    """A program from a `.pt2` file.

    Args:
        path: the file.
        trust: whether what is in it may be run. It is not data alone: tensors and example inputs may be pickles, and
            expressions of sizes are evaluated as Python.

    Raises:
        ConvertError: it is not trusted, or can't be read.
    """
    if not trust:
        raise ConvertError(
            f"{path}: loading a .pt2 file can run code that is hidden in it (pickles, expressions); if you know "
            "where it comes from, add --trust"
        )
    if zipfile.is_zipfile(path) and any(name.endswith("/data.pkl") for name in zipfile.ZipFile(path).namelist()):
        raise ConvertError(
            f"{path}: expected what torch.export.save writes, got weights or TorchScript; save the program with "
            "torch.export.save, or give FILE.py:FUNC that builds the module"
        )
    (torch,) = need("torch", "torch")
    with guarded(f"{path} can't be read as an exported program"):
        program = torch.export.load(path)
    return Program(program, path.name)
