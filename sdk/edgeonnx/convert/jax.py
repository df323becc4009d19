"""JAX: a function on arrays, Flax's and Equinox' modules among them.

The exporter is jax2onnx: https://github.com/enpasos/jax2onnx
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeonnx.convert.axes import Axes, unnamed
from edgeonnx.convert.source import Array, Feeds, Source, guarded, need, release
from edgeonnx.convert.surface import named, refuse_foreign
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec

# What jax2onnx calls an axis whose size it does not know.
_MADE_UP = "JAX2ONNX_DYNAMIC_DIM_SENTINEL"


class Function(Source):
    """A function that takes arrays and gives arrays in any structure, pure and ready for inference.

    Args:
        function: what to convert; its weights are constants.
        examples: its arguments: an array, a tuple, or a dict by name.
        name: file or class, for messages.

    Raises:
        ConvertError: the arguments are none of the function's.
    """

    def __init__(self, function: Callable[..., Any], examples: object, name: str) -> None:
        self._jax, self._jax2onnx = need("jax", "jax", "jax2onnx")
        self.name, self._function = name, function
        self.framework = release("JAX", "jax")
        self.exporter = release("jax2onnx", "jax2onnx")
        self._examples = self._given(examples)
        self.inputs = tuple(TensorSpec(label, one.dtype.name, one.shape) for label, one in self._examples.items())

    def examples(self) -> Feeds:
        """See `Source`."""
        return self._examples

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        shapes = [self._shape(spec, axes.get(spec.name, {})) for spec in self.inputs]
        with guarded(f"{self.name} can't be converted"):
            outputs = self._jax.eval_shape(self._function, *self._examples.values())
            proto = self._jax2onnx.to_onnx(self._function, shapes, opset=opset, return_mode="proto")
        model = Model.from_proto(proto)
        refuse_foreign(model, self.name)
        return named(unnamed(model, _MADE_UP), [spec.name for spec in self.inputs], self._names(outputs), self.name)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        with guarded(f"{self.name} does not take these inputs"):
            outputs = self._function(*(self._jax.numpy.asarray(feeds[spec.name]) for spec in self.inputs))
            return tuple(np.asarray(leaf) for leaf in self._jax.tree_util.tree_leaves(outputs))

    def _shape(self, spec: TensorSpec, free: Mapping[int, str]) -> Any:
        sizes = tuple(free.get(axis, size) for axis, size in enumerate(spec.shape or ()))
        return self._jax.ShapeDtypeStruct(sizes, np.dtype(spec.dtype))

    def _names(self, outputs: Any) -> list[str]:
        """Keys of the structure that the function returns, `output` where it is a single array."""
        tree = self._jax.tree_util
        labels = [tree.keystr(path, simple=True, separator="_") for path, _ in tree.tree_flatten_with_path(outputs)[0]]
        return [f"output_{label}" if label[:1].isdigit() else label or "output" for label in labels]

    def _given(self, examples: object) -> Feeds:
        """Arguments by name, of the types that JAX gives them: it has 64 bits only where they were switched on."""
        signature = inspect.signature(self._function)
        try:
            if isinstance(examples, Mapping):
                bound = signature.bind(**examples)
            else:
                bound = signature.bind(*(examples if isinstance(examples, (tuple, list)) else (examples,)))
        except TypeError as error:
            raise ConvertError(f"{self.name}: the example inputs don't fit {signature}: {error}") from error
        arguments: dict[str, Any] = {}
        for label, value in bound.arguments.items():
            several = signature.parameters[label].kind is inspect.Parameter.VAR_POSITIONAL
            arguments.update(
                {f"{label}_{place}": one for place, one in enumerate(value)} if several else {label: value}
            )
        with guarded(f"{self.name}: expected arrays as example inputs"):
            return {label: np.asarray(self._jax.numpy.asarray(value)) for label, value in arguments.items()}
