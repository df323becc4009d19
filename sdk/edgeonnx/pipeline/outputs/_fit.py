"""Whether a detector's outputs have the shapes of the format that the spec says."""

from collections.abc import Mapping, Sized

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec

_FLOATS = ("float16", "float32", "float64")
# A head has more boxes than classes; one that has so many more channels than boxes is taken for one turned round.
_MOST_CHANNELS = 4
_SHAPES = {
    "yolov5": "(1, boxes, 5 + classes)",
    "yolov8": "(1, 4 + classes, boxes)",
    "yolov8 transposed": "(1, boxes, 4 + classes)",
    "rows": "(1, boxes, {width}) or (boxes, {width})",
}


def check_floats(tensors: Mapping[str, TensorSpec]) -> None:
    """See that all but classes are floats, and classes numbers."""
    for role, tensor in tensors.items():
        if role != "classes" and tensor.dtype not in _FLOATS:
            raise PipelineError(f"output.{role}: expected {', '.join(_FLOATS)}, got {tensor}")
        if tensor.dtype in ("str", "bool"):
            raise PipelineError(f"output.{role}: expected numbers, got {tensor}")


def check_one(tensor: TensorSpec, layout: str, row_width: int) -> None:
    """See that an output that holds all has the shape of its format.

    Args:
        tensor: the output.
        layout: the format, `yolov8 transposed` for that.
        row_width: how many columns a row of format `rows` has.

    Raises:
        PipelineError: expected and got, and what it looks like instead.
    """
    shape = tensor.shape
    if shape is None:
        return
    if layout == "rows":
        fits = len(shape) in (2, 3) and (shape[-1] == row_width or not isinstance(shape[-1], int))
    elif len(shape) == 3:
        channels, boxes = (shape[1], shape[2]) if layout == "yolov8" else (shape[2], shape[1])
        fits = not isinstance(channels, int) or channels >= (6 if layout == "yolov5" else 5)
        if isinstance(channels, int) and isinstance(boxes, int) and layout != "yolov8 transposed":
            fits = fits and channels <= _MOST_CHANNELS * boxes
    else:
        fits = False
    if not fits or (len(shape) == 3 and isinstance(shape[0], int) and shape[0] != 1):
        expected = _SHAPES[layout].format(width=row_width)
        raise PipelineError(f"output.format {layout}: expected {expected}, got {tensor}{_looks_like(shape, layout)}")


def check_parts(tensors: Mapping[str, TensorSpec], anchors: int) -> None:
    """See that outputs for boxes, scores and classes go together.

    Args:
        tensors: by role.
        anchors: how many there are, of an `ssd`.

    Raises:
        PipelineError: the role, expected and got.
    """
    boxes, scores = tensors["boxes"], tensors["scores"]
    if boxes.shape is None or scores.shape is None:
        raise PipelineError(f"output.boxes, output.scores: expected known shapes, got {boxes} and {scores}")
    if not _is_boxes(boxes.shape):
        raise PipelineError(f"output.boxes: expected (1, boxes, 4) or (boxes, 4), got {boxes}")
    if anchors and boxes.shape[-2] not in (anchors, None) and not isinstance(boxes.shape[-2], str):
        raise PipelineError(f"output.anchors: expected {boxes.shape[-2]}, one for each box of {boxes}, got {anchors}")
    single = one_score(boxes.shape, scores.shape)
    if not single and (len(scores.shape) != len(boxes.shape) or not _same(scores.shape[:-1], boxes.shape[:-1])):
        expected = "(1, boxes, classes) or (1, boxes)" if len(boxes.shape) == 3 else "(boxes, classes) or (boxes,)"
        raise PipelineError(f"output.scores: expected {expected} to go with {boxes}, got {scores}")
    if "classes" in tensors and not single:
        raise PipelineError(f"output.classes: expected none where each class has a score of its own, as in {scores}")
    classes = tensors.get("classes", scores)
    if single and classes.shape is not None and not _same(classes.shape, scores.shape):
        raise PipelineError(f"output.classes: expected one for each of {scores}, got {classes}")


def one_score(boxes: Sized | None, scores: Sized | None) -> bool:
    """Whether the shapes say that a box has a single score, not one for each class."""
    return len(scores or ()) == len(boxes or ()) - 1


def _is_boxes(shape: tuple[int | str | None, ...]) -> bool:
    ranked = len(shape) == 2 or (len(shape) == 3 and not (isinstance(shape[0], int) and shape[0] != 1))
    return ranked and not (isinstance(shape[-1], int) and shape[-1] != 4)


def _same(one: tuple[int | str | None, ...], other: tuple[int | str | None, ...]) -> bool:
    """Whether two shapes may be the same: sizes that both know are."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _looks_like(shape: tuple[int | str | None, ...], layout: str) -> str:
    """What a shape that does not fit may be."""
    if len(shape) != 3 or not isinstance(shape[1], int) or not isinstance(shape[2], int):
        return ""
    if shape[2] == 6:
        found = ["rows"]
    elif shape[1] > shape[2] >= 5:
        found = ["yolov5", "yolov8 with transposed = true"]
    else:
        found = ["yolov8"] if shape[2] > shape[1] >= 5 else []
    found = [name for name in found if name != layout]
    return f"; that looks like {' or '.join(found)}" if found else ""
