"""Where the nodes of a model landed on this machine, against what packaging foretold: no fallback to the CPU unsaid."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnxruntime as ort

    from ._manifest import Provider, Variant
    from ._model import Model

_CPU = "CPUExecutionProvider"
# Makes a session remember which provider was given which nodes, before a provider compiles its own into one. An
# onnxruntime before 1.24 passes over it. Measured: 4 % of the time that loading takes.
RECORD = "session.record_ep_graph_assignment_info"


class Foretold(NamedTuple):
    """Where packaging saw a variant's nodes land.

    Attributes:
        nodes: provider -> how many nodes.
        share: of the multiply-accumulates, on providers other than the CPU's; None: not known, or there is none.
        asked: whether the provider itself was asked; else tables of its operators were.
    """

    nodes: Mapping[str, int]
    share: float | None = None
    asked: bool = False


class Placement(NamedTuple):
    """Where a model's nodes landed.

    Attributes:
        nodes: provider -> how many nodes.
        foretold: what the manifest says; None: nothing.
        difference: what a person should know of the two, a sentence; empty where the CPU got no more than it says.
    """

    nodes: Mapping[str, int]
    foretold: Foretold | None
    difference: str

    def __str__(self) -> str:
        return _listed(self.nodes) + (f"; {self.difference}" if self.difference else "")


def records(variant: Variant, providers: Sequence[Provider]) -> bool:
    """Whether a variant's session should remember: where there is something to compare, and a choice."""
    return variant.placement is not None and any(provider.name != _CPU for provider in providers)


def model_placement(model: Model) -> Placement:
    """Where a model's nodes landed; loads it once more where its session does not remember.

    An onnxruntime before 1.24 does not remember at all: there the profile of one run tells, which counts what a
    provider has compiled into one as one.

    Raises:
        BundleError, DeviceError: as load() does.
    """
    found = session_placement(model.session, model.variant)
    if found is not None:
        return found
    import json
    import os
    import tempfile

    from ._bundle import open_bundle
    from ._selftest import first_inputs
    from ._session import create_session

    with tempfile.TemporaryDirectory() as folder:
        session = create_session(open_bundle(model.path), model.variant, profile=os.path.join(folder, "profile"))
        session.run(None, first_inputs(model))
        with open(session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
        found = session_placement(session, model.variant)
    if found is None:
        ran = Counter(event["args"].get("provider", _CPU) for event in events if _is_kernel(event))
        found = Placement(MappingProxyType(dict(ran)), model.variant.placement, _difference(ran, model.variant))
    return found


def difference(session: ort.InferenceSession, variant: Variant) -> tuple[str, ...]:
    """A sentence where the CPU got more than packaging foretold; none where it did not, or where it can't be told."""
    found = session_placement(session, variant) if variant.placement is not None else None
    return (found.difference,) if found and found.difference else ()


def session_placement(session: ort.InferenceSession, variant: Variant) -> Placement | None:
    """Where a session's nodes landed; None where it does not remember.

    Args:
        session: made with `RECORD` set to 1.
        variant: the one it runs.
    """
    try:
        graphs: Any = session.get_provider_graph_assignment_info()
    except Exception:  # an onnxruntime that lacks it, or a session made without: its exceptions share no base class
        return None
    nodes: Counter[str] = Counter()
    for graph in graphs:
        nodes[graph.ep_name] += len(graph.get_nodes())
    return Placement(
        MappingProxyType(dict(nodes)),
        variant.placement,
        _difference(nodes, variant) if set(session.get_providers()) != {_CPU} else "",
    )


def _is_kernel(event: Mapping[str, Any]) -> bool:
    return event.get("cat") == "Node" and event["name"].endswith("_kernel_time")


def _difference(nodes: Mapping[str, int], variant: Variant) -> str:
    foretold = variant.placement
    if foretold is None or set(foretold.nodes) <= {_CPU}:
        return ""
    expected, got = foretold.nodes.get(_CPU, 0), nodes.get(_CPU, 0)
    idle = [name for name, count in foretold.nodes.items() if count and name != _CPU and not nodes.get(name)]
    if got <= expected and not idle:
        return ""
    return (
        f"{got} of {sum(nodes.values())} nodes run on {_CPU}, the manifest says {expected}"
        + (f"; none on {', '.join(idle)}" if idle else "")
        + "; `edgeonnx targets check` says which, and what would mend it"
    )


def _listed(nodes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in nodes.items()) or "no nodes"
