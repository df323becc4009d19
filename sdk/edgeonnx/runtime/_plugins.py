"""Plugin providers: libraries in packages of their own, which onnxruntime loads beside the providers it was built with.

https://onnxruntime.ai/docs/execution-providers/plugin-ep-libraries/usage.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import onnxruntime as ort

from ._errors import DeviceError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ._manifest import Provider

# Name of a provider -> the package that has its library, whose `get_library_path` says where. The name to install it by
# has dashes for underscores.
PLUGINS = {
    "OpenVINOExecutionProvider": "onnxruntime_ep_openvino",
    "QNNExecutionProvider": "onnxruntime_qnn",
    "cpu_ep": "nxrt_ep_cpu",
}
_CPU = "CPUExecutionProvider"


def register_plugins(names: Iterable[str]) -> None:
    """Make those of the named providers known to onnxruntime that are plugins and installed, but not known yet.

    Raises:
        DeviceError: a plugin's library can't be loaded or finds no device, or onnxruntime is too old to take plugins.
    """
    for name in names:
        package = PLUGINS.get(name)
        if package is None or is_there(name):
            continue
        path = _library(package)
        if path is not None:
            _register(name, path, package.replace("_", "-"))


def _register(name: str, path: str, package: str) -> None:
    if not hasattr(ort, "register_execution_provider_library"):
        raise DeviceError(
            f"{name} is a plugin, which onnxruntime {ort.__version__} does not take; pip install -U onnxruntime"
        )
    try:
        ort.register_execution_provider_library(name, path)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise DeviceError(
            f"{name}: onnxruntime {ort.__version__} can't load {path}: {first_line(error)}; "
            f"pip install -U {package} onnxruntime"
        ) from error
    if not _devices(name):
        ort.unregister_execution_provider_library(name)
        raise DeviceError(f"{name}: {package} is installed, but finds no device of its kind on this machine")


def is_there(name: str) -> bool:
    """Whether a provider is onnxruntime's own, or a plugin's that is registered."""
    return name in ort.get_available_providers() or bool(_devices(name))


def add_providers(options: ort.SessionOptions, providers: Sequence[Provider]) -> list[Any] | None:
    """Providers in the form that a session takes: as its argument; or, where one is a plugin, within its options.

    Args:
        options: of the session; added to where a provider is a plugin.
        providers: in order of preference; plugins among them are registered.

    Returns:
        What to give as the session's `providers`: None where the options say it all.

    Raises:
        DeviceError: onnxruntime refuses a provider or its options.
    """
    devices = {provider.name: _devices(provider.name) for provider in providers}
    if not any(devices.values()):
        return [(provider.name, dict(provider.options)) for provider in providers]
    name = ""
    try:
        for name, settings in providers:
            if devices[name]:
                options.add_provider_for_devices(devices[name], dict(settings))
            elif name != _CPU:  # which onnxruntime adds to every session
                options.add_provider(name, dict(settings))
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise DeviceError(f"{name}: onnxruntime {ort.__version__} refuses it: {first_line(error)}") from error
    return None


def _devices(name: str) -> list[Any]:
    """A plugin provider's devices on this machine; none for any other provider."""
    if name not in PLUGINS or not hasattr(ort, "get_ep_devices"):
        return []
    return [device for device in ort.get_ep_devices() if device.ep_name == name]


def _library(package: str) -> str | None:
    """The absolute path of a package's library; None where the package is not installed."""
    from importlib import import_module

    try:
        path: str = import_module(package).get_library_path()
    except ModuleNotFoundError:
        return None
    except Exception as error:  # a package that is there, but damaged
        raise DeviceError(
            f"{package}: {first_line(error)}; pip install --force-reinstall {package.replace('_', '-')}"
        ) from error
    return os.path.abspath(path)
