"""Models compiled for Qualcomm's NPU ahead of time: what onnxruntime calls a context binary, within an ONNX file."""

import logging
import re
from typing import NamedTuple

import onnx_ir as ir

from edgeonnx.errors import ModelError
from edgeonnx.model import Model

_SHOWN = 5
_REFUSED = re.compile(r"QNN SetupBackend failed (.*)")
_LEFT = re.compile(r"Unsupported nodes in QNN EP: (.*)")
_NODE = re.compile(r"\{ name: (.*?), type: (\w+) \}")
# What the compiler writes of its own settings into what it makes; seen with QAIRT 2.51.
_RECORDED = re.compile(rb"soc_type=(\w+);arch=(\d+);")

# onnx-ir reads and writes context binaries rightly, and each time logs that they are no text.
logging.getLogger("onnx_ir.serde").addFilter(lambda entry: "ep_cache_context" not in entry.getMessage())


class Chip(NamedTuple):
    """What a model was compiled for: the chip's name, and the architecture of its Hexagon processor."""

    name: str
    arch: str


def complaint(log: str) -> str:
    """Why the provider did not take the whole of a model, from what it printed; empty where it did not tell."""
    if refused := _REFUSED.findall(log):
        return str(refused[-1]).strip()
    said = _LEFT.findall(log)
    left = [f"{op_type} {name}" for name, op_type in _NODE.findall(said[-1])] if said else []
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return f"it leaves {', '.join(left[:_SHOWN])}{more} to the CPU" if left else ""


def compiled_for(model: Model) -> Chip:
    """The chip, as the context binaries of a model record it: it need not be the one that was asked for.

    Raises:
        ModelError: a node is not compiled, or binaries record no chip or several.
    """
    nodes = list(model.ir.graph)
    if left := sorted({node.op_type for node in nodes if node.op_type != "EPContext"}):
        raise ModelError(f"expected nodes compiled for the NPU alone, got {', '.join(left)} too")
    chips = {
        Chip(name.decode(), arch.decode())
        for node in nodes
        if node.attributes.get_int("main_context", 0)
        for name, arch in _RECORDED.findall(_code(node))
    }
    if len(chips) != 1:
        got = ", ".join(f"{chip.name} (HTP {chip.arch})" for chip in sorted(chips)) or "none"
        raise ModelError(f"expected the compiled model to record one chip, got {got}")
    return chips.pop()


def _code(node: ir.Node) -> bytes:
    value = node.attributes["ep_cache_context"].value if "ep_cache_context" in node.attributes else b""
    return value.encode() if isinstance(value, str) else bytes(value)  # onnx-ir decodes what happens to be text
