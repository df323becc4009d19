"""Finding an interpreter that has a provider.

The one that is given; else the one that `EDGEONNX_OPENVINO_PYTHON` names (for `OpenVINOExecutionProvider`; others
alike); else `.venv-openvino` in the working folder or beside the project; else this one, if its onnxruntime has it.
"""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import onnxruntime as ort

from edgeonnx import data
from edgeonnx.errors import TargetError
from edgeonnx.providers.runner import ProcessRunner, Setting
from edgeonnx.runtime._plugins import PLUGINS


def find_runner(
    setting: Setting, python: Path | None = None, environment: Mapping[str, str] = os.environ
) -> ProcessRunner:
    """A runner for a provider.

    Args:
        setting: which, and how sessions are opened.
        python: an interpreter to use; None: look for one.
        environment: where variables are read.

    Raises:
        TargetError: no interpreter was found, or the provider does not run in the one that was.
    """
    found = python or interpreter(setting.provider, environment)
    if found is None:
        raise TargetError(
            f"no interpreter with {setting.provider}: name one with --provider-python or in "
            f"{variable(setting.provider)}, or run make {short_name(setting.provider)}"
        )
    return ProcessRunner(found, setting)


def interpreter(provider: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The interpreter for a provider; None if there is none."""
    if named := environment.get(variable(provider)):
        return Path(named)
    folder = f".venv-{short_name(provider)}"
    for place in (Path.cwd(), data.folder("targets").parent):
        for inside in ("bin/python", "Scripts/python.exe"):
            if (place / folder / inside).exists():
                return place / folder / inside
    here = provider in ort.get_available_providers() or (provider in PLUGINS and find_spec(PLUGINS[provider]))
    return Path(sys.executable) if here else None


def variable(provider: str) -> str:
    """The environment variable that names its interpreter."""
    return f"EDGEONNX_{short_name(provider).upper()}_PYTHON"


def short_name(provider: str) -> str:
    """`qnn` for `QNNExecutionProvider`: of its make target, its environment, variants that run on it."""
    return provider.removesuffix("ExecutionProvider").lower()
