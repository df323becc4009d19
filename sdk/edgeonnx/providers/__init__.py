"""Running models on an execution provider: in this interpreter, or in another that has it."""

from edgeonnx.providers.find import find_runner, interpreter, short_name, variable
from edgeonnx.providers.runner import Landed, ProcessRunner, Runner, Setting

__all__ = ["Landed", "ProcessRunner", "Runner", "Setting", "find_runner", "interpreter", "short_name", "variable"]
