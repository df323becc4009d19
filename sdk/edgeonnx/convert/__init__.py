"""Models of other frameworks as ONNX: one file a kind of source, each a thin wrapper over the well-kept exporter."""

from edgeonnx.convert.axes import Axes, checked, free_axes, read_axes
from edgeonnx.convert.difference import Comparison, Difference, differ
from edgeonnx.convert.open import open_source
from edgeonnx.convert.record import conversion_of, with_conversion
from edgeonnx.convert.source import OPSET, Array, Feeds, Source
from edgeonnx.convert.surface import reshaped

__all__ = [
    "OPSET",
    "Array",
    "Axes",
    "Comparison",
    "Difference",
    "Feeds",
    "Source",
    "checked",
    "conversion_of",
    "differ",
    "free_axes",
    "open_source",
    "read_axes",
    "reshaped",
    "with_conversion",
]
