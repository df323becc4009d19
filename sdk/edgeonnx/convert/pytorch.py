"""PyTorch: a module with example inputs."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgeonnx.convert._recurrent import recurrent
from edgeonnx.convert._torch import Torch, array, dtype, joined, reason
from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.source import Array, Feeds, guarded
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec


class Module(Torch):
    """A `torch.nn.Module` and example inputs for its `forward`.

    Args:
        module: put into evaluation mode while it is used here.
        examples: its arguments: a tuple, or a dict by name. What is no tensor is fixed as it is.
        name: for messages.

    Raises:
        ConvertError: it can't be exported, the arguments are none of `forward`, or hold no tensor.
    """

    def __init__(self, module: Any, examples: object, name: str) -> None:
        super().__init__(name)
        self._module = self._inner(module)
        self._bound = self._bind(examples)
        paths, self._spec = self.tree.tree_flatten_with_path(dict(self._bound.arguments))
        self._leaves = [self._as_tensor(leaf) for _, leaf in paths]
        self._places = [place for place, leaf in enumerate(self._leaves) if isinstance(leaf, self.torch.Tensor)]
        names = [joined(paths[place][0]) for place in self._places]
        self._check_inputs({label: self._leaves[place] for label, place in zip(names, self._places, strict=True)})
        self.inputs = tuple(
            TensorSpec(label, dtype(self._leaves[place]), tuple(self._leaves[place].shape))
            for label, place in zip(names, self._places, strict=True)
        )
        if self._module.training:
            self.notes += ("the module was in training mode; it is converted in evaluation mode",)

    def examples(self) -> Feeds:
        """See `Source`."""
        return {spec.name: array(self._leaves[place]) for spec, place in self._placed()}

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        leaves = self._widened(axes)
        args, kwargs = self._arguments(leaves)
        free = self.torch.export.Dim.DYNAMIC
        shapes: list[dict[int, Any] | None] = [None] * len(leaves)
        for spec, place in self._placed():
            shapes[place] = dict.fromkeys(axes.get(spec.name, {}), free) or None
        dynamic = self.tree.tree_unflatten(shapes, self._spec) if axes else None
        with self._evaluating(), guarded(f"{self.name} can't be converted", reason), recurrent().kept():
            program = self.torch.export.export(self._module, args, kwargs, dynamic_shapes=dynamic, strict=False)
        return name_axes(self._written(program, opset), axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        leaves = list(self._leaves)
        for spec, place in self._placed():
            leaves[place] = self._tensor(feeds[spec.name]).to(self._leaves[place].dtype)
        args, kwargs = self._arguments(leaves)
        with self._evaluating(), guarded(f"{self.name} does not take these inputs"):
            outputs = self._arrays(self._module(*args, **kwargs))
            self.caveat = self._training()
        return outputs

    def _inner(self, module: Any) -> Any:
        """The module itself, where it was compiled or is run in parallel.

        Raises:
            ConvertError: it is of TorchScript, or quantized.
        """
        if isinstance(module, self.torch.jit.ScriptModule):
            raise ConvertError(f"{self.name}: TorchScript can't be exported; give the module that it was made from")
        if any("torch.ao.nn.quantized" in type(part).__module__ for part in module.modules()):
            raise ConvertError(
                f"{self.name}: it is quantized, which torch.export does not take; convert the float module, and then "
                "quantize with edgeonnx quantize"
            )
        parallel = self.torch.nn.parallel
        if isinstance(module, (parallel.DataParallel, parallel.DistributedDataParallel)):
            return module.module
        return getattr(module, "_orig_mod", module)  # of torch.compile

    def _as_tensor(self, leaf: Any) -> Any:
        """An array of numpy's as a tensor, a number of numpy's as Python's."""
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiubc":
            return self.torch.from_numpy(leaf)
        return leaf.item() if isinstance(leaf, np.generic) else leaf

    def _training(self) -> str:
        """What to say of parts that are in training mode all the same: `forward` put them there."""
        parts = [f"{label} ({type(part).__name__})" for label, part in self._module.named_modules() if part.training]
        return f"forward puts {', '.join(parts[:3])} into training mode; leave that out for inference" if parts else ""

    def _bind(self, examples: object) -> inspect.BoundArguments:
        signature = inspect.signature(self._module.forward)
        try:
            if isinstance(examples, Mapping):
                return signature.bind(**examples)
            return signature.bind(*examples) if isinstance(examples, (tuple, list)) else signature.bind(examples)
        except TypeError as error:
            raise ConvertError(f"{self.name}: the example inputs don't fit forward{signature}: {error}") from error

    def _placed(self) -> Iterator[tuple[TensorSpec, int]]:
        """Each input with its place among the leaves of the arguments."""
        return zip(self.inputs, self._places, strict=True)

    def _arguments(self, leaves: Sequence[object]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments = self.tree.tree_unflatten(list(leaves), self._spec)
        bound = inspect.BoundArguments(self._bound.signature, arguments)
        return bound.args, bound.kwargs

    def _widened(self, axes: Axes) -> list[Any]:
        """The example arguments, with two in place of one along free axes: torch.export takes a one to be fixed."""
        leaves = list(self._leaves)
        for spec, place in self._placed():
            for axis in axes.get(spec.name, {}):
                if not leaves[place].shape[axis]:
                    raise ConvertError(
                        f"{self.name}: {spec.name}:{axis} is to be free, expected at least 1 along it in the example "
                        "inputs, got 0"
                    )
                if leaves[place].shape[axis] == 1:
                    leaves[place] = leaves[place].repeat_interleave(2, axis)
        return leaves

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluation mode, without gradients; each part of the module is put back as it was.

        Without the fast path of attention too, which gives zeros at padded places where all else gives numbers.
        """
        training = [part for part in self._module.modules() if part.training]
        attention = self.torch.backends.mha
        fast = attention.get_fastpath_enabled()
        self._module.eval()
        attention.set_fastpath_enabled(False)
        try:
            with self.torch.no_grad():
                yield
        finally:
            attention.set_fastpath_enabled(fast)
            for part in training:
                part.training = True
