"""Which provider takes which nodes of a model, by asking it: onnxruntime records it when it makes a session."""

from dataclasses import dataclass, replace
from pathlib import Path

from edgeonnx.errors import TargetError
from edgeonnx.model import Model, session_options
from edgeonnx.providers import Landed, find_runner
from edgeonnx.targets import Target, runs_here
from edgeonnx.verbs.provider import setting_of

CPU = "CPUExecutionProvider"
# Providers that are the CPU: in a browser its kernels go by another name.
CPUS = (CPU, "wasm")
_RECORD = "session.record_ep_graph_assignment_info"
# With this set, a session is refused in place of told where its nodes landed.
_NO_FALLBACK = "session.disable_cpu_ep_fallback"


@dataclass(frozen=True)
class Answer:
    """What a provider says of a model: every node that it or another was given, and who says so."""

    nodes: tuple[Landed, ...]
    source: str


def ask(model: Model, target: Target, python: Path | None) -> tuple[Answer | None, str]:
    """Ask the target's first provider which nodes it takes.

    A target that models are compiled for is asked on this machine, whose provider simulates it.

    Args:
        model: its nodes are named.
        target: of the providers.
        python: an interpreter that has the provider; None: look for one.

    Returns:
        What it says, and, where it says nothing, why.

    Raises:
        ModelError: onnxruntime, or the provider, does not accept the model.
        TargetError: the provider does not run in the interpreter that was given.
    """
    first = target.providers[0]
    if first.name in CPUS:
        return _cpu_answer(model, first.name), ""
    if python is None and not runs_here(target) and target.compilation is None:
        return None, f"{first.name} was not asked: this machine is not a {target.name}"
    setting = setting_of(target)
    compiling = {} if target.compilation is None else target.compilation.options
    config = {key: value for key, value in setting.config.items() if key != _NO_FALLBACK}
    try:
        runner = find_runner(replace(setting, options={**setting.options, **compiling}, config=config), python)
    except TargetError as error:
        if python is not None:
            raise
        return None, f"{first.name} was not asked: {error}"
    try:
        return Answer(runner.assigned(model), runner.where), ""
    finally:
        runner.close()


def _cpu_answer(model: Model, name: str) -> Answer:
    options = session_options()
    options.add_session_config_entry(_RECORD, "1")
    graphs = model.session(options).get_provider_graph_assignment_info()
    nodes = tuple(Landed(node.name, node.op_type, name) for graph in graphs for node in graph.get_nodes())
    return Answer(nodes, "onnxruntime's CPU provider")
