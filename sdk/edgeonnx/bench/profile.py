"""Time of each kernel of a model, from onnxruntime's own profile, told apart by the node it came from."""

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model, session_options

_WARM_UP = 3
_LEAST = 0.1
# What onnxruntime's optimizers append to the names of nodes and tensors they make.
_SUFFIXES = re.compile(r"(_nchwc|_token_\d+|/duplicated|_nhwc|_fused|_quant)+$")


@dataclass(frozen=True)
class Kernel:
    """One kernel of an optimized graph.

    Attributes:
        name: its node's name, without what optimizers appended: a node's or a tensor's name of the model.
        op_type: operator, after fusion.
        microseconds: typical time of a run.
        bytes: size of its outputs.
    """

    name: str
    op_type: str
    microseconds: float
    bytes: int


def profile(model: Model, feeds: Mapping[str, np.ndarray], runs: int = 100) -> tuple[Kernel, ...]:
    """Time the kernels of a model, one thread, in the order they ran.

    Taking the time of a kernel takes time itself, microseconds that would drown small kernels: the sum of the profile
    is compared with runs that are not profiled, and the difference is taken off each kernel in equal parts.

    Args:
        model: any model.
        feeds: one sample.
        runs: how many runs to take the times from.
    """
    call = partial(model.session().run, None, dict(feeds))
    whole = _typical([_seconds(call) * 1e6 for _ in range(runs + _WARM_UP)])
    with tempfile.TemporaryDirectory() as folder:
        options = session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = model.session(options)
        for _ in range(runs + _WARM_UP):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return _without_overhead(_kernels(events), whole)


def node_times(model: Model, kernels: Iterable[Kernel]) -> tuple[dict[str, float], dict[str, int]]:
    """Microseconds and output bytes by node; a fused kernel counts for the node whose name or output it bears."""
    nodes = {node.name or "" for node in model.ir.graph}
    makers = {output.name: node.name or "" for node in model.ir.graph for output in node.outputs if output.name}
    times: dict[str, float] = defaultdict(float)
    sizes: dict[str, int] = {}
    for kernel in kernels:
        name = kernel.name if kernel.name in nodes else makers.get(kernel.name)
        if name is not None:
            times[name] += kernel.microseconds
            sizes[name] = kernel.bytes
    return dict(times), sizes


def work_times(model: Model, kernels: Iterable[Kernel], work: Mapping[str, float]) -> dict[str, float]:
    """Microseconds by node; a kernel fused of several nodes counts for the one that works most, not for its last.

    Args:
        model: that was profiled.
        kernels: its profile.
        work: of each node, by name: its multiply-accumulates.
    """
    times, _ = node_times(model, kernels)
    nodes = {node.name or "": node for node in model.ir.graph}
    found: dict[str, float] = defaultdict(float)
    for name, microseconds in times.items():
        found[max(_fused(nodes[name], times), key=lambda one: work.get(one, 0))] += microseconds
    return dict(found)


def _fused(node: ir.Node, times: Collection[str]) -> list[str]:
    """A node with a kernel, and those before it that have none of their own: it does what they did."""
    found, waiting = [node.name or ""], [node]
    while waiting:
        for value in waiting.pop().inputs:
            made = None if value is None else value.producer()
            if made is not None and made.name and made.name not in times and made.name not in found:
                found.append(made.name)
                waiting.append(made)
    return found


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _typical(series: list[float]) -> float:
    """Mean of the faster four fifths: the profile counts whole microseconds, which a median would keep."""
    kept = sorted(series[_WARM_UP:])
    return float(np.mean(kept[: max(1, len(kept) * 4 // 5)]))


def _without_overhead(kernels: tuple[Kernel, ...], whole: float) -> tuple[Kernel, ...]:
    overhead = max(0.0, sum(kernel.microseconds for kernel in kernels) - whole) / max(1, len(kernels))
    return tuple(replace(k, microseconds=max(_LEAST, k.microseconds - overhead)) for k in kernels)


def _kernels(events: list[dict[str, Any]]) -> tuple[Kernel, ...]:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, str], int] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = (event["name"].removesuffix("_kernel_time"), event["args"]["op_name"])
            times[key].append(event["dur"])
            sizes[key] = int(event["args"].get("output_size", 0))
    return tuple(
        Kernel(_SUFFIXES.sub("", name), op_type, _typical(series), sizes[name, op_type])
        for (name, op_type), series in times.items()
    )
