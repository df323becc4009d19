"""Recurrent layers of PyTorch as one operator each, so that their time axis can be free.

torch.export learns the shapes of `aten.lstm` and `aten.gru` by computing them step by step, and so finds a model right
for one length of time alone. Here each call becomes an operator that tells its shapes outright, and is then written by
what onnxscript has for torch's own: https://docs.pytorch.org/docs/stable/library.html#torch.library.custom_op
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, NamedTuple

from edgeonnx.convert.source import need
from edgeonnx.errors import ConvertError

_REST = (
    "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first"
)
_LSTM = f"(Tensor x, Tensor[] hx, {_REST}) -> (Tensor, Tensor, Tensor)"
_GRU = f"(Tensor x, Tensor hx, {_REST}) -> (Tensor, Tensor)"


class Recurrent(NamedTuple):
    """How recurrent layers are exported.

    Attributes:
        kept: while it is entered, they are kept as one operator each.
        written: what writes each operator as ONNX, for `torch.onnx.export(custom_translation_table=)`.
    """

    kept: Callable[[], AbstractContextManager[Any]]
    written: dict[Any, Callable[..., Any]]


@cache
def recurrent() -> Recurrent:
    """The operators, registered with torch: once, as it takes a name but once."""
    torch, overrides, core = need("torch", "torch", "torch.overrides", "onnxscript.function_libs.torch_lib.ops.core")
    register = torch.library.custom_op
    lstm = register("edgeonnx::lstm", torch.lstm, mutates_args=(), schema=_LSTM)
    gru = register("edgeonnx::gru", torch.gru, mutates_args=(), schema=_GRU)
    lstm.register_fake(_lstm_shapes)
    gru.register_fake(_gru_shapes)
    ours = {torch.lstm: lstm, torch.gru: gru}

    class Kept(overrides.TorchFunctionMode):  # type: ignore[name-defined, misc]  # a class of what is imported here
        """Calls ours where a layer calls torch's."""

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            padded = function in ours and isinstance(args[3], bool)  # packed sequences have another signature
            return (ours[function] if padded else function)(*args, **(kwargs or {}))

    names = torch.ops.edgeonnx
    return Recurrent(Kept, {names.lstm.default: core.aten_lstm, names.gru.default: core.aten_gru})


def _lstm_shapes(x: Any, hx: Sequence[Any], *rest: Any) -> tuple[Any, Any, Any]:
    hidden, cell = hx
    if hidden.shape[2] != cell.shape[2]:
        raise ConvertError("nn.LSTM with proj_size has no form in ONNX; put an nn.Linear behind an nn.LSTM without it")
    return (*_gru_shapes(x, hidden, *rest), cell.new_empty(cell.shape))


def _gru_shapes(x: Any, hidden: Any, *rest: Any) -> tuple[Any, Any]:
    *_, bidirectional, _ = rest
    width = hidden.shape[2] * (2 if bidirectional else 1)
    return x.new_empty((*x.shape[:2], width)), hidden.new_empty(hidden.shape)
