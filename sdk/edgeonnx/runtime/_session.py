"""Makes the onnxruntime session that the manifest asks for, or says what this machine lacks."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import onnxruntime as ort

from ._errors import BundleError, DeviceError, InputError, first_line

if TYPE_CHECKING:
    from ._bundle import Bundle
    from ._manifest import Manifest, SessionSettings

_WHEELS = {
    "CPUExecutionProvider": "onnxruntime",
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "DmlExecutionProvider": "onnxruntime-directml",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
}
_LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_QUOTA = "/sys/fs/cgroup/cpu.max"
_ERRORS_ONLY = 3


def create_session(bundle: Bundle, threads: int | None = None) -> ort.InferenceSession:
    """The session of a bundle's model.

    Args:
        bundle: an opened bundle.
        threads: in place of the manifest's intra_op_threads; neither is ever more than the CPUs this process may use.

    Raises:
        DeviceError: onnxruntime is too old, a provider is not there, or onnxruntime refuses the model.
        BundleError: the model's inputs or outputs are not the manifest's.
    """
    manifest = bundle.manifest
    asked = [provider.name for provider in manifest.session.providers]
    check_version(manifest.onnxruntime.minimum)
    check_providers(asked)
    options = session_options(manifest.session, threads)
    try:
        session = ort.InferenceSession(
            bundle.read(manifest.model.file),
            options,
            providers=[(provider.name, dict(provider.options)) for provider in manifest.session.providers],
            enable_fallback=False,
        )
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise DeviceError(
            f"{bundle.name}: onnxruntime {ort.__version__} can't load {manifest.model.file}: {first_line(error)}"
        ) from error
    session.disable_fallback()
    # onnxruntime leaves a provider out that fails to start, and says so only in its log.
    missing = [name for name in asked if name not in session.get_providers()]
    if missing:
        raise DeviceError(
            f"{bundle.name}: {', '.join(missing)} did not start: expected a session on {', '.join(asked)}, "
            f"got {', '.join(session.get_providers())}; check the provider's driver and its options"
        )
    _check_interface(bundle.name, manifest, session)
    return session


def session_options(settings: SessionSettings, threads: int | None = None) -> ort.SessionOptions:
    """The manifest's settings as onnxruntime's.

    Raises:
        InputError: `threads` is negative.
        DeviceError: onnxruntime refuses an entry of `config`.
    """
    if threads is not None and threads < 0:
        raise InputError(f"threads: expected 0 (onnxruntime's choice) or more, got {threads}")
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = _capped(settings.intra_op_threads if threads is None else threads)
    options.inter_op_num_threads = _capped(settings.inter_op_threads)
    options.graph_optimization_level = _LEVELS[settings.graph_optimization]
    key = ""
    try:
        for key, value in settings.config.items():
            options.add_session_config_entry(key, value)
    except RuntimeError as error:
        raise DeviceError(f"session.config: onnxruntime refuses {key[:80]}: {first_line(error)}") from error
    return options


def check_version(minimum: str) -> None:
    """Raises DeviceError when the installed onnxruntime is older than `minimum`."""
    if _numbers(ort.__version__) < _numbers(minimum):
        raise DeviceError(
            f"onnxruntime {ort.__version__} is too old: expected {minimum} or newer; "
            f"pip install 'onnxruntime>={minimum}'"
        )


def check_providers(asked: list[str]) -> None:
    """Raises DeviceError when the installed onnxruntime lacks one of the providers `asked` for."""
    available = ort.get_available_providers()
    for name in asked:
        if name not in available:
            wheel = _WHEELS.get(name)
            cure = f"pip install {wheel}" if wheel else "install a build of onnxruntime that has it"
            raise DeviceError(f"{name} is not there: this onnxruntime has {', '.join(available)}; {cure}")


def usable_cpus() -> int:
    """How many CPUs this process may use: its affinity, and its container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(_QUOTA, encoding="ascii") as file:
            return min(count, quota_cpus(file.read()) or count)
    except OSError:  # not Linux, or cgroups of version 1
        return count


def quota_cpus(cpu_max: str) -> int | None:
    """CPUs that `cpu.max` of cgroup v2 grants ("QUOTA PERIOD" in microseconds), rounded up; None for no limit."""
    quota, _, period = cpu_max.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit()):  # "max 100000"
        return None
    return max(1, -(-int(quota) // int(period)))


def _capped(threads: int) -> int:
    """At most the usable CPUs. 0 stays 0, unless onnxruntime would then count CPUs it may not use."""
    usable = usable_cpus()
    if not threads:
        return 0 if usable == os.cpu_count() else usable
    return min(threads, usable)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _check_interface(bundle: str, manifest: Manifest, session: ort.InferenceSession) -> None:
    """The model's inputs and outputs are the manifest's, so that checks against the manifest hold for the model."""
    pairs = (
        ("inputs", manifest.inputs, session.get_inputs()),
        ("outputs", manifest.outputs, session.get_outputs()),
    )
    for what, specs, arguments in pairs:
        expected = sorted((spec.name, spec.dtype) for spec in specs)
        got = sorted((argument.name, _dtype(argument.type)) for argument in arguments)
        if expected != got:
            raise BundleError(
                f"{bundle}: {manifest.model.file} and manifest.json differ in {what}: expected {_listed(expected)}, "
                f"got {_listed(got)}; package the model again"
            )


def _dtype(type_name: str) -> str:
    """`tensor(float)` as `float32`; what is no tensor stays as it is."""
    element = type_name[len("tensor(") : -1] if type_name.startswith("tensor(") else type_name
    return {"float": "float32", "double": "float64", "string": "str"}.get(element, element)


def _listed(pairs: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in pairs) or "none"
