"""Operators that older operator sets have too, but take otherwise: each is rewritten to the form before a version.

What is not here either fits as it is or has no other form.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.optimize.older.fit import NoForm
from edgeonnx.optimize.passes._edit import add_weight, constant, replaced

Form = Callable[[ir.Node], None]


def _set(node: ir.Node, **attributes: int | list[int] | str | ir.TensorProtocol) -> None:
    for name, value in attributes.items():
        node.attributes[name] = ir.convenience.convert_attribute(name, value)


def _given(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if len(node.inputs) > index else None


def _numbers(node: ir.Node, index: int, name: str) -> np.ndarray:
    """An input that must be constant."""
    array = constant(_given(node, index))
    if array is None:
        raise NoForm(f"there its {name} must be constant")
    return array


def _rank(value: ir.Value | None) -> int:
    if value is None or value.shape is None:
        raise NoForm("the rank of its input is not known")
    return len(value.shape)


def _before(node: ir.Node, operator: str, *inputs: ir.Value | None, **attributes: int | list[int]) -> ir.Value:
    """The result of a new node before this one."""
    name = f"{node.outputs[0].name}.{operator}"
    made = ir.node(operator, list(inputs), attributes, name=name)
    made.outputs[0].name = name
    _graph(node).insert_before(node, made)
    return made.outputs[0]


def _graph(node: ir.Node) -> ir.Graph:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph


def _weight(node: ir.Node, array: np.ndarray, name: str) -> ir.Value:
    return add_weight(_graph(node), array, f"{node.outputs[0].name}.{name}")


def _over_last_axis(node: ir.Node) -> None:
    """Softmax and its like, 13: from `axis` on all axes were one; over the last axis both are the same."""
    axis = node.attributes.get_int("axis", -1)
    if axis != -1:
        rank = _rank(node.inputs[0])
        if axis % rank == rank - 1:
            axis = -1
    if axis != -1:
        order = list(range(rank))
        order[axis], order[-1] = order[-1], order[axis]
        turned = _before(node, "Transpose", node.inputs[0], perm=order)
        replaced(node, "Transpose", [_before(node, node.op_type, turned, axis=-1)], perm=order)
    else:
        _set(node, axis=-1)


def _axes_attribute(node: ir.Node) -> None:
    """Squeeze, Unsqueeze and ReduceSum, 13; other reductions, 18: axes were an attribute."""
    axes = [] if _given(node, 1) is None else [int(axis) for axis in _numbers(node, 1, "axes")]
    keeps = node.attributes.pop("noop_with_empty_axes", None)
    if not axes and keeps is not None and keeps.as_int():
        raise NoForm("there it reduces all axes where none is given")
    node.resize_inputs(1)
    if axes:
        _set(node, axes=axes)


def _split_evenly(node: ir.Node) -> None:
    """Split, 18: a number of outputs was not said, and the last part could not be smaller."""
    parts = node.attributes.pop("num_outputs", None)
    if parts is None:
        return
    number, axis = parts.as_int(), node.attributes.get_int("axis", 0)
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    size = shape[axis] if shape is not None else None
    if not isinstance(size, int):
        raise NoForm("there its parts are of one size, here that is not known")
    if size % number:
        first = -(-size // number)
        lengths = [first] * (number - 1) + [size - first * (number - 1)]
        node.resize_inputs(2)
        node.replace_input_with(1, _weight(node, np.array(lengths, np.int64), "split"))


def _split_attribute(node: ir.Node) -> None:
    """Split, 13: the lengths were an attribute."""
    if _given(node, 1) is not None:
        _set(node, split=[int(length) for length in _numbers(node, 1, "lengths")])
        node.resize_inputs(1)


def _pad_all_axes(node: ir.Node) -> None:
    """Pad, 18: pads were of all axes."""
    if _given(node, 3) is None:
        return
    axes, pads, rank = _numbers(node, 3, "axes"), _numbers(node, 1, "pads"), _rank(node.inputs[0])
    whole = np.zeros((2, rank), np.int64)
    whole[:, [int(axis) % rank for axis in axes]] = pads.reshape(2, -1)
    node.resize_inputs(3)
    node.replace_input_with(1, _weight(node, whole.reshape(-1), "pads"))


def _resize_all_axes(node: ir.Node) -> None:
    """Resize, 18: scales were of all axes."""
    if "axes" not in node.attributes:
        return
    axes, rank = node.attributes["axes"].as_ints(), _rank(node.inputs[0])
    if _given(node, 1) is not None or _given(node, 2) is None:
        raise NoForm("there its sizes and its region of interest are of all axes")
    scales = np.ones(rank, np.float32)
    scales[[axis % rank for axis in axes]] = _numbers(node, 2, "scales")
    node.replace_input_with(2, _weight(node, scales, "scales"))
    del node.attributes["axes"]


def _resize_empty_inputs(node: ir.Node) -> None:
    """Resize, 13: what was not given was an empty tensor."""
    node.resize_inputs(max(3, len(node.inputs)))
    for index, name in ((1, "roi"), (2, "scales")):
        if node.inputs[index] is None:
            node.replace_input_with(index, _weight(node, np.empty(0, np.float32), name))


def _grid_modes(node: ir.Node) -> None:
    """GridSample, 20: modes had other names, and grids were of two dimensions."""
    if _rank(node.inputs[0]) != 4:
        raise NoForm("there it is of two spatial dimensions")
    names = {"linear": "bilinear", "cubic": "bicubic"}
    mode = node.attributes.get_string("mode", "linear")
    _set(node, mode=names.get(mode, mode))


def _dft_axis_attribute(node: ir.Node) -> None:
    """DFT, 20: the axis was an attribute."""
    if "axis" in node.attributes:
        return
    axis = int(_numbers(node, 2, "axis").item()) if _given(node, 2) is not None else -2
    node.resize_inputs(min(2, len(node.inputs)))
    _set(node, axis=axis % _rank(node.inputs[0]))


def _slice_of_shape(node: ir.Node) -> None:
    """Shape, 15: it was of all dimensions."""
    start, end = node.attributes.pop("start", None), node.attributes.pop("end", None)
    if start is None and end is None:
        return
    bounds = (start.as_int() if start else 0, end.as_int() if end else np.iinfo(np.int64).max)
    weights = [_weight(node, np.array([b]), n) for b, n in zip(bounds, ("start", "end"), strict=True)]
    replaced(node, "Slice", [_before(node, "Shape", node.inputs[0]), *weights])


def _reshape_copies_zeros(node: ir.Node) -> None:
    """Reshape, 14: a zero always meant the input's dimension."""
    if node.attributes.get_int("allowzero", 0) and not _numbers(node, 1, "target").all():
        raise NoForm("there a zero means the input's dimension")
    node.attributes.pop("allowzero", None)


def _constant_tensor(node: ir.Node) -> None:
    """Constant, 12: it was a tensor."""
    if "value" not in node.attributes and "sparse_value" not in node.attributes:
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        if tensor is None:
            raise NoForm("there it is a tensor")
        node.attributes.clear()
        _set(node, value=tensor)


def _no_training(node: ir.Node) -> None:
    """Dropout, 12: it was for inference, and its mask had no one meaning."""
    if any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:]):
        raise NoForm("there its mask has another meaning")
    if _given(node, 2) is not None and _numbers(node, 2, "training_mode").any():
        raise NoForm("there it can't train")
    node.attributes.pop("seed", None)
    node.resize_inputs(1)


def _one_scale(node: ir.Node) -> None:
    """QuantizeLinear and DequantizeLinear, 13: there was one scale for all channels."""
    scale = node.inputs[1]
    if scale is None or scale.shape is None or any(size != 1 for size in scale.shape):
        raise NoForm("there all channels have one scale")
    node.attributes.pop("axis", None)


def _sign_of_dividend(node: ir.Node) -> None:
    """Mod, 28: of floats the result had the dividend's sign."""
    kind = node.inputs[0].dtype if node.inputs[0] is not None else None
    if not node.attributes.get_int("fmod", 0) and (kind is None or kind.is_floating_point()):
        raise NoForm("there, of floats, the result has the sign of the dividend")


def _half_pixel_outputs(node: ir.Node) -> None:
    """RoiAlign, 16: regions were not moved by half a pixel."""
    mode = node.attributes.pop("coordinate_transformation_mode", None)
    if (mode.as_string() if mode else "half_pixel") != "output_half_pixel":
        raise NoForm("there regions are not moved by half a pixel")


def _triangle(node: ir.Node) -> None:
    """Trilu, 14: a choice by a constant triangle."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    rows, columns = shape[-2:] if shape is not None else (None, None)
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise NoForm("the last two dimensions of its input are not known")
    shift = int(_numbers(node, 1, "diagonal").item()) if _given(node, 1) is not None else 0
    mask = np.tri(rows, columns, shift if not node.attributes.get_int("upper", 1) else shift - 1, bool)
    mask = ~mask if node.attributes.get_int("upper", 1) else mask
    kind = node.inputs[0].dtype if node.inputs[0] is not None else None
    if kind is None:
        raise NoForm("the type of its input is not known")
    zero = _weight(node, np.zeros((), kind.numpy()), "zero")
    replaced(node, "Where", [_weight(node, mask, "triangle"), node.inputs[0], zero])


def _only(attribute: str, *known: str) -> Form:
    """Of an attribute that got more words: those that there were."""

    def check(node: ir.Node) -> None:
        word = node.attributes.get_string(attribute, known[0])
        if word not in known:
            raise NoForm(f"there {attribute} is one of {', '.join(known)}, here {word}")

    return check


_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize")
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

# By operator and the version whose changes are undone.
FORMS: Mapping[tuple[str, int], Form] = {
    **{(operator, 13): _over_last_axis for operator in ("Softmax", "LogSoftmax", "Hardmax")},
    **{(operator, 13): _axes_attribute for operator in ("Squeeze", "Unsqueeze", "ReduceSum")},
    **{(f"Reduce{name}", 18): _axes_attribute for name in _REDUCTIONS},
    **{(operator, 13): _one_scale for operator in ("QuantizeLinear", "DequantizeLinear")},
    **{(operator, 18): _only("reduction", "none", "add", "mul") for operator in ("ScatterElements", "ScatterND")},
    ("Split", 18): _split_evenly,
    ("Split", 13): _split_attribute,
    ("Pad", 19): _only("mode", "constant", "reflect", "edge"),
    ("Pad", 18): _pad_all_axes,
    ("Resize", 19): _only("coordinate_transformation_mode", *_COORDINATES),
    ("Resize", 18): _resize_all_axes,
    ("Resize", 13): _resize_empty_inputs,
    ("GridSample", 20): _grid_modes,
    ("DFT", 20): _dft_axis_attribute,
    ("Shape", 15): _slice_of_shape,
    ("Reshape", 14): _reshape_copies_zeros,
    ("Trilu", 14): _triangle,
    ("RoiAlign", 16): _half_pixel_outputs,
    ("Mod", 28): _sign_of_dividend,
    ("Dropout", 12): _no_training,
    ("Dropout", 13): _no_training,
    ("Constant", 12): _constant_tensor,
}
