"""Dimensions as files state them, put right."""

import onnx_ir as ir

from edgeonnx.names import all_values


def open_negative(model: ir.Model) -> None:
    """Make dimensions free, in place, that the file gives a size below 0: some exporters write -1 for a free one."""
    for value in all_values(model.graph):
        if value.shape is not None and any(isinstance(size, int) and size < 0 for size in value.shape):
            value.shape = ir.Shape([None if isinstance(size, int) and size < 0 else size for size in value.shape])
