"""PyTorch: a module with example inputs, or a program that `torch.export.save` wrote.

The exporter is torch's own, `torch.onnx.export(dynamo=True)`, which goes through `torch.export`: see
https://docs.pytorch.org/docs/stable/onnx_export.html
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.convert.axes import Axes, name_axes, unnamed
from edgeonnx.convert.source import Array, Feeds, Source, guarded, need, release
from edgeonnx.convert.surface import named
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.userfile import told

# Where torch notes down the paths and lines of the code that it was exported from.
_STRAY = "pkg."
_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)', overload='(\w+)'\)>")
_NODE = re.compile(r"Error when translating node %(\w+)")
_SPECIALIZED = re.compile(r"L\['(\w+)'\]\.size\(\)\[(\d+)\] as dynamic .* specialized it to be a constant \((\d+)\)")
# A size that is computed from others.
_EXPRESSION = r".*\W.*"


class _Torch(Source):
    """What modules and programs have in common.

    Args:
        name: file or class, for messages.
    """

    def __init__(self, name: str) -> None:
        self.torch, _ = need("torch", "torch", "onnxscript")
        self.tree = self.torch.utils._pytree
        self.name = name
        self.framework = release("PyTorch", "torch")
        self.exporter = f"torch.onnx, {release('onnxscript', 'onnxscript')}"

    def _tensor(self, array: Array) -> Any:
        return self.torch.from_numpy(np.array(array))

    def _arrays(self, outputs: object) -> tuple[Array, ...]:
        """Tensors of any structure, flattened."""
        leaves = self.tree.tree_leaves(outputs)
        return tuple(_array(leaf) for leaf in leaves if isinstance(leaf, self.torch.Tensor))

    def _written(self, program: Any, opset: int) -> Model:
        """An exported program as ONNX, its interface named as the program's is."""
        outputs = self._outputs(program)
        with guarded(f"{self.name} can't be converted", _reason):
            made = self.torch.onnx.export(program, dynamo=True, opset_version=opset, verbose=False)
        model = Model(made.model)
        if model.opset != opset:
            raise ConvertError(
                f"{self.name}: torch.onnx could not write opset {opset}, only {model.opset}; give --opset {model.opset}"
            )
        _strip(model)
        return named(unnamed(model, _EXPRESSION), [spec.name for spec in self.inputs], outputs, self.name)

    def _outputs(self, program: Any) -> list[str]:
        """Names of a program's outputs: keys and fields where it has them, else `output`, `output_0`, ..."""
        returned = program.graph_signature.user_outputs
        structure = self.tree.tree_unflatten(list(returned), program.call_spec.out_spec)
        paths, _ = self.tree.tree_flatten_with_path(structure)
        found = [(_joined(path), leaf) for path, leaf in paths if leaf is not None]
        if fixed := [label for label, leaf in found if not isinstance(leaf, str)]:
            raise ConvertError(f"{self.name}: expected tensors as outputs, got a number at {', '.join(fixed)}")
        return [f"output_{label}" if label.isdigit() else label or "output" for label, _ in found]


class Module(_Torch):
    """A `torch.nn.Module` and example inputs for its `forward`.

    Args:
        module: put into evaluation mode while it is used here.
        examples: its arguments: a tuple, or a dict by name. What is no tensor is fixed as it is.
        name: for messages.

    Raises:
        ConvertError: the arguments are none of `forward`, or hold no tensor.
    """

    def __init__(self, module: Any, examples: object, name: str) -> None:
        super().__init__(name)
        if isinstance(module, self.torch.jit.ScriptModule):
            raise ConvertError(f"{name}: TorchScript can't be exported; give the module that it was made from")
        self._module = module
        self._bound = self._bind(examples)
        paths, self._spec = self.tree.tree_flatten_with_path(dict(self._bound.arguments))
        self._leaves = [leaf for _, leaf in paths]
        self._places = [place for place, leaf in enumerate(self._leaves) if isinstance(leaf, self.torch.Tensor)]
        names = [_joined(paths[place][0]) for place in self._places]
        if not names:
            raise ConvertError(f"{name}: expected tensors among the example inputs, got none")
        self.inputs = tuple(
            TensorSpec(label, _dtype(self._leaves[place]), tuple(self._leaves[place].shape))
            for label, place in zip(names, self._places, strict=True)
        )
        if module.training:
            self.notes += ("the module was in training mode; it is converted in evaluation mode",)

    def examples(self) -> Feeds:
        """See `Source`."""
        return {spec.name: _array(self._leaves[place]) for spec, place in self._placed()}

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        leaves = self._widened(axes)
        args, kwargs = self._arguments(leaves)
        free = self.torch.export.Dim.DYNAMIC
        shapes: list[dict[int, Any] | None] = [None] * len(leaves)
        for spec, place in self._placed():
            shapes[place] = dict.fromkeys(axes.get(spec.name, {}), free) or None
        dynamic = self.tree.tree_unflatten(shapes, self._spec) if axes else None
        with self._evaluating(), guarded(f"{self.name} can't be converted", _reason):
            program = self.torch.export.export(self._module, args, kwargs, dynamic_shapes=dynamic, strict=False)
        return name_axes(self._written(program, opset), axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        leaves = list(self._leaves)
        for spec, place in self._placed():
            leaves[place] = self._tensor(feeds[spec.name]).to(self._leaves[place].dtype)
        args, kwargs = self._arguments(leaves)
        with self._evaluating(), guarded(f"{self.name} does not take these inputs"):
            return self._arrays(self._module(*args, **kwargs))

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


class Program(_Torch):
    """A program that `torch.export.save` wrote.

    Args:
        path: a `.pt2` file.
        trust: whether what is in it may be run. It is not data alone: tensors and example inputs may be pickles, and
            expressions of sizes are evaluated as Python.

    Raises:
        ConvertError: it is not trusted, or can't be read.
    """

    def __init__(self, path: Path, trust: bool) -> None:
        super().__init__(path.name)
        if not trust:
            raise ConvertError(
                f"{path}: loading a .pt2 file can run code that is hidden in it (pickles, expressions); if you know "
                "where it comes from, add --trust"
            )
        with guarded(f"{path} can't be read as an exported program"):
            self._program = self.torch.export.load(path)
            self._module = self._program.module()
        values = {node.name: node.meta.get("val") for node in self._program.graph.nodes if node.op == "placeholder"}
        given = self._program.graph_signature.user_inputs
        self._fixed = {place: one for place, one in enumerate(given) if not self._is_tensor(values.get(one))}
        self.inputs = tuple(
            TensorSpec(
                name,
                _dtype(values[name]),
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
        return {spec.name: _array(leaf) for spec, leaf in zip(self.inputs, tensors, strict=True)}

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


def _array(tensor: Any) -> Array:
    """A tensor as numpy's; bfloat16, which numpy lacks, as float32."""
    kept = tensor.detach().cpu()
    return np.asarray(kept.float().numpy() if str(kept.dtype) == "torch.bfloat16" else kept.numpy())


def _size(size: Any) -> int | str:
    """A number, or the name that torch gives a free axis."""
    return size if isinstance(size, int) else str(size)


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _joined(path: Sequence[Any]) -> str:
    """A place in a structure as a name: `("inputs", 0)` is `inputs_0`."""
    return "_".join(str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", "")))) for step in path)


def _strip(model: Model) -> None:
    """Take out where in the user's code each node comes from: paths of one machine, other bytes on another."""
    graph = model.ir.graph
    nodes = list(graph.all_nodes())
    values = [*graph.inputs, *graph.initializers.values(), *(value for node in nodes for value in node.outputs)]
    parts: list[Any] = [model.ir, graph, *nodes, *values]
    for props in [part.metadata_props for part in parts]:
        for key in [key for key in props if key.startswith(_STRAY)]:
            del props[key]


def _reason(error: BaseException) -> str:
    """What torch's exporters say at last, with the operator and the node where it is about one."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    texts = [str(link) for link in chain]
    operator = next((found for text in texts if (found := _OPERATOR.search(text))), None)
    node = next((found for text in texts if (found := _NODE.search(text))), None)
    if operator:
        place = f" (node {node[1]})" if node else ""
        overload = "" if operator[2] == "default" else f".{operator[2]}"
        return f"the operator {operator[1]}{overload}{place} has no form in ONNX; compute it otherwise in the model"
    if node:
        return f"node {node[1]}: {told(chain[-1])}"
    first, *more = [line.strip() for line in texts[0].splitlines()] or [""]
    if found := _SPECIALIZED.search(texts[0]):
        return f"{found[1]}:{found[2]} can't be free: torch.export finds the model right for a size of {found[3]} alone"
    if "violated" in first and more:
        return f"an axis can't be free: {more[0].removeprefix('- ')}"
    if "data-dependent" in first:
        return f"the model branches on values that it computes; use torch.where or torch.cond. torch says: {first}"
    return told(chain[-1])
