"""What modules and programs of PyTorch have in common: torch's own exporter, and the names of what comes out.

`torch.onnx.export(dynamo=True)`, which goes through `torch.export`: see
https://docs.pytorch.org/docs/stable/onnx_export.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeonnx.convert._recurrent import recurrent
from edgeonnx.convert.axes import unnamed
from edgeonnx.convert.source import Array, Source, guarded, need, release
from edgeonnx.convert.surface import named
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model
from edgeonnx.userfile import told

# Where torch notes down the paths and lines of the code that it was exported from.
_STRAY = "pkg."
_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)', overload='(\w+)'\)>")
_NODE = re.compile(r"Error when translating node %(\w+)")
_SPECIALIZED = re.compile(r"L\['(\w+)'\]\.size\(\)\[(\d+)\] as dynamic .* specialized it to be a constant \((\d+)\)")
_COMPLEX = (
    "complex numbers at {}, which have no form in ONNX; take and return real ones: torch.view_as_real, "
    "torch.view_as_complex"
)
# A size that is computed from others.
_EXPRESSION = r".*\W.*"


class Torch(Source):
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
        return tuple(array(leaf) for leaf in leaves if isinstance(leaf, self.torch.Tensor))

    def _written(self, program: Any, opset: int) -> Model:
        """An exported program as ONNX, its interface named as the program's is."""
        outputs = self._outputs(program)
        with guarded(f"{self.name} can't be converted", reason):
            made = self.torch.onnx.export(
                program, dynamo=True, opset_version=opset, verbose=False, custom_translation_table=recurrent().written
            )
        model = Model(made.model)
        if model.opset != opset:
            lower = f", and lower it: edgeonnx optimize --opset {opset}" if opset < model.opset else ""
            raise ConvertError(
                f"{self.name}: torch.onnx could not write opset {opset}, only {model.opset}; give --opset "
                f"{model.opset}{lower}"
            )
        _strip(model)
        return named(unnamed(model, _EXPRESSION), [spec.name for spec in self.inputs], outputs, self.name)

    def _outputs(self, program: Any) -> list[str]:
        """Names of a program's outputs: keys and fields where it has them, else `output`, `output_0`, ..."""
        returned = program.graph_signature.user_outputs
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        structure = self.tree.tree_unflatten(list(returned), program.call_spec.out_spec)
        paths, _ = self.tree.tree_flatten_with_path(structure)
        found = {joined(path): values.get(leaf, leaf) for path, leaf in paths if leaf is not None}
        if fixed := [label for label, value in found.items() if not isinstance(value, self.torch.Tensor)]:
            raise ConvertError(f"{self.name}: expected tensors as outputs, got a number at {', '.join(fixed)}")
        if complexes := [label or "output" for label, value in found.items() if value.is_complex()]:
            raise ConvertError(f"{self.name}: {_COMPLEX.format(', '.join(complexes))}")
        if not found:
            raise ConvertError(f"{self.name}: expected tensors as outputs, got none; return what it computes")
        return [f"output_{label}" if label[:1].isdigit() else label or "output" for label in found]

    def _check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """See that these tensors can be inputs.

        Raises:
            ConvertError: there are none, or one is of complex numbers.
        """
        if not inputs:
            raise ConvertError(f"{self.name}: expected tensors among the example inputs, got none")
        if complexes := [label for label, tensor in inputs.items() if tensor.is_complex()]:
            raise ConvertError(f"{self.name}: {_COMPLEX.format(', '.join(complexes))}")


def array(tensor: Any) -> Array:
    """A tensor as numpy's; bfloat16, which numpy lacks, as float32."""
    kept = tensor.detach().cpu()
    return np.asarray(kept.float().numpy() if str(kept.dtype) == "torch.bfloat16" else kept.numpy())


def dtype(tensor: Any) -> str:
    """The element type of a tensor by numpy's name."""
    return str(tensor.dtype).removeprefix("torch.")


def joined(path: Sequence[Any]) -> str:
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


def reason(error: BaseException) -> str:
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
        return (
            f"{found[1]}:{found[2]} can't be free: torch.export finds the model right for a size of {found[3]} alone; "
            "where axes of other inputs must be as long, free them too, under the same name"
        )
    if "violated" in first and more:
        return f"an axis can't be free: {more[0].removeprefix('- ')}"
    if "data-dependent" in first:
        return f"the model branches on values that it computes; use torch.where or torch.cond. torch says: {first}"
    return told(chain[-1])
