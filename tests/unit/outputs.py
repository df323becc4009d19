"""Runs one output part by itself on arrays, and does in numpy what detection and segmentation should do."""

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model, TensorSpec, session_options, tensor_spec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.pipeline.surgery import as_value

NOTE = "photo.geometry"


def part(**output):
    """An output part from what stands under `[output]`."""
    return PipelineSpec.model_validate({"output": output}).output


def spec_of(name, array, free=()):
    """What a model would say of an output that gives this array; `free` axes have names."""
    shape = tuple(f"{name}_{axis}" if axis in free else size for axis, size in enumerate(array.shape))
    return TensorSpec(name, array.dtype.name, shape)


def graph_of(output, specs, geometry=False, opset=13):
    """The part's operators as a model: outputs of a network (and the note) in, results out."""
    values = {spec.name: as_value(spec) for spec in specs}
    notes = {NOTE: as_value(TensorSpec(NOTE, "float32", (8,)))} if geometry else {}
    consumed = output.consumes(list(specs))
    output.check({spec.name: spec for spec in specs if spec.name in consumed}, list(notes))
    build = Builder("pipeline.output")
    results = output.build({name: values[name] for name in consumed}, notes, build)
    for name in consumed:
        values[name].name = f"{name}.raw"
    inputs = [*(values[name] for name in consumed), *notes.values()]
    graph = ir.Graph(inputs, results, nodes=build.nodes, opset_imports={"": max(opset, build.opset)}, name="output")
    return Model(ir.Model(graph, ir_version=8))


def apply(output, arrays, geometry=None, opset=13, free=()):
    """What the part makes of a network's outputs: results by name.

    Args:
        output: the part.
        arrays: the network's outputs by name.
        geometry: the picture input's note; None: there is no picture input.
        opset: of the model.
        free: the axes whose size is open.
    """
    specs = [spec_of(name, array, free) for name, array in arrays.items()]
    model = graph_of(output, specs, geometry is not None, opset)
    feeds = {f"{name}.raw": arrays[name] for name in output.consumes(specs)}
    if geometry is not None:
        feeds[NOTE] = np.array(geometry, np.float32)
    names = [tensor.name for tensor in model.outputs]
    results = dict(zip(names, model.session(session_options()).run(names, feeds), strict=True))
    for tensor in map(tensor_spec, model.ir.graph.outputs):
        assert results[tensor.name].dtype.name == tensor.dtype
        assert results[tensor.name].ndim == len(tensor.shape)
    return results


def letterbox(width, height, model_width, model_height):
    """The geometry of a picture that keeps its aspect and is padded on both sides."""
    scale = min(model_width / width, model_height / height)
    left, top = (model_width - width * scale) / 2, (model_height - height * scale) / 2
    return [scale, scale, left, top, width, height, model_width, model_height]


def stretch(width, height, model_width, model_height):
    """The geometry of a picture that fills the model's, whatever its aspect."""
    return [model_width / width, model_height / height, 0, 0, width, height, model_width, model_height]


def overlaps(box, boxes):
    """Intersection over union of one box with others, corners; 0 where nothing overlaps."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - common
    return np.divide(common, area, out=np.zeros_like(common), where=common > 0)


def suppressed(boxes, scores, classes, iou_threshold):
    """Greedy non-maximum suppression by class, by its definition: places of what stays, the best first."""
    left = list(np.argsort(-scores, kind="stable"))
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        overlap = overlaps(boxes[best], boxes)
        left = [i for i in left if classes[i] != classes[best] or overlap[i] <= np.float32(iou_threshold)]
    return np.array(kept, np.int64)


def restored(boxes, geometry):
    """Corners in the model's picture as corners in the original, cut off at its edges: float64."""
    sx, sy, left, top, width, height = geometry[:6]
    moved = (boxes.astype(np.float64) - [left, top, left, top]) / [sx, sy, sx, sy]
    ordered = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], axis=1)
    return np.clip(ordered, 0, [width, height, width, height])
