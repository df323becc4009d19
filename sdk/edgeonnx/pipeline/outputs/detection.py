"""Objects found in a picture: boxes decoded, suppressed, and brought back to the original picture."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import onnx_ir as ir
from pydantic import BeforeValidator, Field, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.outputs import _boxes, _fit, _yolo
from edgeonnx.pipeline.outputs._coordinates import Form, to_corners, to_original, to_pixels
from edgeonnx.pipeline.outputs._suppress import Detections, best_classes, every_class, first, sort, suppress
from edgeonnx.pipeline.part import OutputPart, only_note
from edgeonnx.runtime._manifest import Result

_RESULTS = ("boxes", "scores", "classes")
_ONE_OUTPUT = ("yolov5", "yolov8", "rows")
_PARTS = ("ssd", "boxes")

# Which fields only some of the formats have.
_ONLY = {
    "output": _ONE_OUTPUT,
    "boxes": _PARTS,
    "scores": _PARTS,
    "classes": ("boxes",),
    "strides": ("yolov5",),
    "transposed": ("yolov8",),
    "columns": ("rows",),
    "box": (*_PARTS, "rows"),
    "normalized": (*_PARTS, "rows"),
    "activation": _PARTS,
    "background": (*_PARTS, "rows"),
    "anchors": ("ssd",),
    "variances": ("ssd",),
}

Anchors = Annotated[tuple[tuple[float, float, float, float], ...], BeforeValidator(_boxes.read_anchors)]


class DetectionOutput(OutputPart):
    """How to read a detector's boxes and scores.

    The results are `boxes` (x1, y1, x2, y2 in pixels of the original picture), `scores` and `classes`, the best first.
    Without an input of type image, boxes stay as they are in the model's picture.

    Attributes:
        type: `detection`.
        format: `yolov5`: one output (1, boxes, 5 + classes), centre, size, objectness, classes; also v7 and YOLOX.
            `yolov8`: (1, 4 + classes, boxes), centre, size, classes; v8 to v12. `rows`: (1, boxes, 6), models that end
            in detections; v10, v26. `ssd`: boxes relative to anchors, and scores. `boxes`: boxes and scores.
        of: the input whose picture boxes are brought back to; may be left out where there is only one.
        score_threshold: what a score must exceed.
        iou_threshold: of boxes that overlap by more (intersection over union), the better one stays.
        max_detections: how many to report.
        nms: suppress boxes that overlap; `rows` never does, other models that have done it say false.
        class_agnostic: boxes of different classes suppress each other too.
        multi_label: a box is reported with every class above the threshold, not with the best alone. Left out, it is
            true for `ssd` and `boxes`, as in their references.
        output: the model's output (`yolov5`, `yolov8`, `rows`); may be left out where there is only one.
        boxes: the model's output with the boxes (`ssd`, `boxes`), (1, boxes, 4) or (boxes, 4); may be left out where it
            is named so.
        scores: the one with the scores, (1, boxes, classes), or (1, boxes) for one score a box; likewise.
        classes: the one with the classes, where a box has one score (`boxes`); left out, there is one class.
        box: what a box's four numbers are (`boxes`, `rows`; of `ssd` the anchors'): two corners, a corner and the size,
            or the centre and the size. With `yxyx` the deltas of `ssd` are y, x, height, width.
        normalized: boxes (of `ssd` the anchors) are in 0..1 of the model's picture, not in its pixels.
        activation: what turns the output into scores (`ssd`, `boxes`).
        background: which class is none (`ssd`, `boxes`, `rows`); the others are counted without it.
        strides: of a head that is not decoded, as YOLOX exports it (`yolov5`): [8, 16, 32].
        transposed: the output is (1, boxes, 4 + classes) (`yolov8`).
        columns: of a row, in order (`rows`): `box` is four numbers; `score`, `class` and `skip` are one.
        anchors: of `ssd`: a `.npy` file, a text file with four numbers a line, or the numbers.
        variances: of `ssd`: what the deltas of x, y, width and height are multiplied by, 1 / torchvision's weights.
    """

    type: Literal["detection"] = "detection"
    format: Literal["yolov5", "yolov8", "rows", "ssd", "boxes"]
    of: str | None = None
    score_threshold: float = 0.25
    iou_threshold: float = Field(default=0.45, ge=0, le=1)
    max_detections: int = Field(default=300, ge=1)
    nms: bool = True
    class_agnostic: bool = False
    multi_label: bool | None = None
    output: str | None = None
    boxes: str | None = None
    scores: str | None = None
    classes: str | None = None
    box: Form = "xyxy"
    normalized: bool = False
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    background: _boxes.Background = "none"
    strides: tuple[Annotated[int, Field(ge=1)], ...] = ()
    transposed: bool = False
    columns: tuple[_boxes.Column, ...] = ("box", "score", "class")
    anchors: Anchors = ()
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)

    @model_validator(mode="after")
    def _fields_of_the_format(self) -> "DetectionOutput":
        for name, formats in _ONLY.items():
            if self.format not in formats and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} goes with format {' or '.join(formats)}, got format {self.format}")
        if self.format == "ssd" and not self.anchors:
            raise ValueError("anchors is missing, which format ssd needs")
        if [self.columns.count(name) for name in ("box", "score")] != [1, 1] or self.columns.count("class") > 1:
            raise ValueError(f"columns: expected box and score once, class at most once, got {list(self.columns)}")
        if self.format == "rows" and self.background == "last":
            raise ValueError("background: expected none or first with format rows, got last")
        if self.class_agnostic and self.multi_label:
            raise ValueError("multi_label: expected false with class_agnostic, which leaves a box one class")
        return self

    def consumes(self, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """The one output, or those of boxes, scores and classes."""
        return tuple(self._roles(tensor.name for tensor in outputs).values())

    def check(self, outputs: Mapping[str, TensorSpec], notes: Sequence[str]) -> None:
        """Types, shapes, and a picture's size where the format needs it."""
        tensors = {role: outputs[name] for role, name in self._roles(outputs).items()}
        if len(outputs) < len(tensors):
            raise PipelineError(f"output: expected an output each for {', '.join(tensors)}, got one for two of them")
        _fit.check_floats(tensors)
        if self.format in _ONE_OUTPUT:
            layout = "yolov8 transposed" if self.transposed else self.format
            _fit.check_one(tensors["output"], layout, _boxes.row_width(self.columns))
        else:
            _fit.check_parts(tensors, len(self.anchors))
            self._check_one_score(tensors)
        if only_note("geometry", notes, self.of) is None and (self.strides or self.of):
            field = "strides" if self.strides else "of"
            raise PipelineError(f"output.{field}: expected an input of type image, got none of that name")

    def build(self, outputs: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder) -> list[ir.Value]:
        """Decode, threshold, sort, suppress, bring back."""
        note = only_note("geometry", notes, self.of)
        geometry = None if note is None else notes[note]
        values = {role: outputs[name] for role, name in self._roles(outputs).items()}
        yolo = self.format in ("yolov5", "yolov8")
        found = sort(self._head(values, geometry, build) if yolo else self._parts(values, geometry, build), build)
        if self.nms and self.format != "rows":
            found = suppress(found, self.iou_threshold, self.max_detections, self.class_agnostic, build)
        else:
            found = first(found, self.max_detections, build)
        boxes = found.boxes if geometry is None else to_original(found.boxes, geometry, build)
        return [
            build.result(boxes, "boxes", "float32", ("detections", 4)),
            build.result(found.scores, "scores", "float32", ("detections",)),
            build.result(found.classes, "classes", "int64", ("detections",)),
        ]

    def result(self, outputs: Sequence[TensorSpec]) -> Result:
        """Boxes, scores and classes."""
        return Result("detection", {name: name for name in _RESULTS})

    def class_count(self, outputs: Sequence[TensorSpec]) -> int | None:
        """What the shape of the scores tells."""
        tensors = {tensor.name: tensor for tensor in outputs}
        roles = self._roles(tensors)
        if self.format == "rows" or "classes" in roles:
            return None
        if self.format == "boxes" and _fit.one_score(tensors[roles["boxes"]].shape, tensors[roles["scores"]].shape):
            return 1
        shape = tensors[roles["scores" if self.format in _PARTS else "output"]].shape
        size = shape[1 if self.format == "yolov8" and not self.transposed else -1] if shape else None
        others = {"yolov5": 5, "yolov8": 4}.get(self.format, int(self.background != "none"))
        return size - others if isinstance(size, int) else None

    def _check_one_score(self, tensors: Mapping[str, TensorSpec]) -> None:
        scores = tensors["scores"]
        if not _fit.one_score(tensors["boxes"].shape, scores.shape):
            return
        if self.format == "ssd":
            raise PipelineError(f"output.scores: expected (1, boxes, classes), as format ssd has them, got {scores}")
        for field, got in (("activation", self.activation), ("background", self.background)):
            if got in ("softmax", "last"):
                raise PipelineError(f"output.{field} {got}: expected scores (1, boxes, classes) for it, got {scores}")

    def _roles(self, names: Iterable[str]) -> dict[str, str]:
        """Which output plays which role: the one given, the one of the role's name, or the only one.

        Raises:
            PipelineError: it is open which is meant, or there is none of that name.
        """
        known = list(names)
        if self.format in _ONE_OUTPUT:
            roles = {"output": self.output or (known[0] if len(known) == 1 else None)}
        else:
            roles = {"boxes": self.boxes or "boxes", "scores": self.scores or "scores"}
            roles |= {"classes": self.classes} if self.classes else {}
        for role, name in roles.items():
            if name not in known:
                raise PipelineError(f"output.{role}: expected one of {', '.join(known)}, got {name!r}")
        return {role: str(name) for role, name in roles.items()}

    def _head(self, values: Mapping[str, ir.Value], geometry: ir.Value | None, build: Builder) -> Detections:
        """What one output of a YOLO says, above the threshold."""
        output = build.op("Squeeze", build.cast(values["output"], "float32"), np.array([0], np.int64))
        multi = bool(self.multi_label)
        if self.format == "yolov5":
            return _yolo.yolov5(output, self.strides, geometry, self.score_threshold, multi, build)
        return _yolo.yolov8(output, self.transposed, self.score_threshold, multi, build)

    def _parts(self, values: Mapping[str, ir.Value], geometry: ir.Value | None, build: Builder) -> Detections:
        """What boxes, scores and classes say, each its own output or columns of one, above the threshold."""
        if self.format == "rows":
            width = np.array([-1, _boxes.row_width(self.columns)], np.int64)
            rows = build.op("Reshape", build.cast(values["output"], "float32"), width)
            boxes, scores, classes = _boxes.split_rows(rows, self.columns, build)
        else:
            boxes = build.op("Reshape", build.cast(values["boxes"], "float32"), np.array([-1, 4], np.int64))
            scores, classes = build.cast(values["scores"], "float32"), values.get("classes")
        corners = self._corners(boxes, geometry, build)
        if self.activation != "none":
            scores = build.op(self.activation.capitalize(), scores)
        if self.format == "rows" or _fit.one_score(values["boxes"].shape, values["scores"].shape):
            offset = int(self.background == "first")
            return _boxes.one_class(corners, scores, classes, offset, self.score_threshold, build)
        scores = _boxes.real_classes(scores, self.background, build)
        multi = not self.class_agnostic if self.multi_label is None else self.multi_label
        return (every_class if multi else best_classes)(corners, scores, self.score_threshold, build)

    def _corners(self, boxes: ir.Value, geometry: ir.Value | None, build: Builder) -> ir.Value:
        """Boxes as x1, y1, x2, y2 in pixels of the model's picture."""
        form = self.box
        if self.format == "ssd":
            anchors = _boxes.centred(self.anchors, form)
            boxes = _boxes.decode_anchors(boxes, anchors, self.variances, form == "yxyx", build)
            form = "cxcywh"
        corners = to_corners(boxes, form, build)
        return to_pixels(corners, geometry, build) if self.normalized else corners
