"""The provider a target names first, where models can be run on it: in this interpreter's place or another's."""

from pathlib import Path

from edgeonnx.errors import TargetError
from edgeonnx.providers import Runner, Setting, find_runner
from edgeonnx.targets import Target, runs_here

CPU = "CPUExecutionProvider"


def runner_for(target: Target | None, python: Path | None = None) -> tuple[Runner | None, str]:
    """What runs models as the target would.

    Args:
        target: the profile; None: this machine.
        python: an interpreter that has the target's provider; None: look for one.

    Returns:
        The runner, and why there is none: empty where none is needed, since the provider is the CPU's own.

    Raises:
        TargetError: the provider does not run in the interpreter that was given.
    """
    if target is None or target.providers[0].name == CPU:
        return None, ""
    if python is None and not runs_here(target):
        return None, f"this machine is not a {target.name}"
    try:
        return find_runner(setting_of(target), python), ""
    except TargetError as error:
        if python is not None:
            raise
        return None, str(error)


def why_untimed(target: Target | None) -> str:
    """Why a time taken by this machine's CPU provider says nothing about a target; empty where it does."""
    if target is None:
        return ""
    if not runs_here(target):
        return f"this machine is not a {target.name}"
    name = target.providers[0].name
    return "" if name == CPU else f"{target.name} runs models on {name}, which is not timed here"


def setting_of(target: Target, threads: int = 1) -> Setting:
    """How the target opens sessions, but for the number of threads."""
    provider = target.providers[0]
    options = dict(provider.options)
    if provider.name == "OpenVINOExecutionProvider" and options.get("device_type", "CPU") == "CPU":
        options.setdefault("num_of_threads", str(threads))  # it has threads of its own
    return Setting(provider.name, options, target.session.graph_optimization, target.session.config, threads)
