"""Makes the onnxruntime session that the manifest asks for, or says what this machine lacks."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import onnxruntime as ort

from ._cpus import plan_threads
from ._errors import BundleError, DeviceError, InputError, first_line
from ._placement import RECORD, records
from ._plugins import add_providers, is_there, register_plugins

if TYPE_CHECKING:
    from ._bundle import Bundle
    from ._manifest import Manifest, SessionSettings, Variant
    from ._tuned import Setup

_WHEELS = {
    "CPUExecutionProvider": "onnxruntime",
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "DmlExecutionProvider": "onnxruntime-directml",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "cpu_ep": "nxrt-ep-cpu",
}
_LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
# Errors are raised; onnxruntime would write them to stderr too.
_FATAL_ONLY = 4
# The first release that takes a folder of external weights for a model given as bytes; measured, 1.20.1 does not.
_FOLDER_OPTION = [1, 21]
_NO_PREPACKING = "session.disable_prepacking"


def create_session(
    bundle: Bundle,
    variant: Variant,
    threads: int | None = None,
    sessions: int = 1,
    memory: str | None = None,
    setup: Setup | None = None,
    profile: str = "",
) -> ort.InferenceSession:
    """The session of one of a bundle's variants.

    Args:
        bundle: an opened bundle.
        variant: one of its manifest's.
        threads: in place of the manifest's intra_op_threads: see `plan_threads`.
        sessions: among how many they are divided.
        memory: in place of the manifest's.
        setup: what was measured to be better than the manifest's settings.
        profile: remember where nodes land, see `_placement.py`, and write a profile to a file that begins so.

    Raises:
        DeviceError: onnxruntime is too old, a provider is not there, or onnxruntime refuses the model.
        BundleError: the model's inputs or outputs are not the manifest's.
    """
    manifest = bundle.manifest
    settings = manifest.session if memory is None else manifest.session._replace(memory=memory)
    if setup is not None:
        settings, variant = setup.replaced(settings, variant)
    providers = variant.providers or settings.providers
    asked = [provider.name for provider in providers]
    check_version(variant.minimum)
    check_providers(asked)
    options = session_options(settings, variant.graph_optimization, threads, sessions)
    if setup is not None:
        setup.set_memory(options)
    if profile or records(variant, providers):
        options.add_session_config_entry(RECORD, "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    if manifest.extensions is not None:
        from ._extensions import register

        register(options, bundle.name)
    if manifest.custom_ops is not None:
        from ._custom_ops import register as register_libraries

        register_libraries(options, bundle)
    data = _model_bytes(bundle, variant, options)
    given = add_providers(options, providers)
    try:
        session = ort.InferenceSession(data, options, providers=given, enable_fallback=False)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        from ._extensions import version_note

        raise DeviceError(
            f"{bundle.name}: onnxruntime {ort.__version__} can't load {variant.file}: {first_line(error)}"
            f"{version_note(manifest.extensions)}"
        ) from error
    session.disable_fallback()
    if settings.memory == "small":
        _give_back()
    _check_started(bundle.name, asked, session.get_providers())
    _check_interface(bundle.name, manifest, variant, session)
    return session


def _model_bytes(bundle: Bundle, variant: Variant, options: ort.SessionOptions) -> bytes:
    """The variant's ONNX file, its external weights mapped from the bundle where onnxruntime can do that."""
    data = bundle.read(variant.file)
    if not variant.weights:
        return data
    from ._weights import inline_weights, map_weights

    places = {name: bundle.place(name) for name in variant.weights}
    folder, name = os.path.split(bundle.path)
    try:
        if _numbers(ort.__version__) < _FOLDER_OPTION:
            return inline_weights(data, places, bundle.read)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        return map_weights(data, os.fsencode(name), places)
    except BundleError as error:
        raise BundleError(f"{bundle.name}: {variant.file}: {error}") from error


def _give_back() -> None:
    """Let the C library return what loading took and freed; glibc's keeps it otherwise (malloc_trim(3))."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _check_started(bundle: str, asked: list[str], started: list[str]) -> None:
    """See that every provider runs: one that fails to start is left out, and only the log says so."""
    missing = [name for name in asked if name not in started]
    if missing:
        raise DeviceError(
            f"{bundle}: {', '.join(missing)} did not start: expected a session on {', '.join(asked)}, "
            f"got {', '.join(started)}; check the provider's driver and its options"
        )


def session_options(
    settings: SessionSettings, optimization: str, threads: int | None = None, sessions: int = 1
) -> ort.SessionOptions:
    """The manifest's settings as onnxruntime's, for one of `sessions` that divide the threads: see `plan_threads`.

    Raises:
        InputError: `threads` is negative.
        DeviceError: onnxruntime refuses an entry of `config`.
    """
    if threads is not None and threads < 0:
        raise InputError(f"threads: expected 0 (onnxruntime's choice) or more, got {threads}")
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    plan = plan_threads(settings.intra_op_threads, threads, sessions)
    options.intra_op_num_threads = plan.intra_op
    options.inter_op_num_threads = settings.inter_op_threads  # of use in parallel execution alone, which is off
    options.graph_optimization_level = _LEVELS[optimization]
    config = {**settings.config, **plan.config}
    if settings.memory == "small":
        # Weights then stay in the file's own pages, which the system takes back when it needs memory. The arena stays
        # on: measured, a run takes more memory without it.
        options.enable_mem_pattern = False
        config[_NO_PREPACKING] = "1"
    key = ""
    try:
        for key, value in config.items():
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
    """Raises DeviceError when one of the providers `asked` for is neither in onnxruntime nor an installed plugin."""
    register_plugins(asked)
    available = ort.get_available_providers()
    for name in asked:
        if not is_there(name):
            wheel = _WHEELS.get(name)
            cure = f"pip install {wheel}" if wheel else "install a build of onnxruntime that has it"
            raise DeviceError(f"{name} is not there: this onnxruntime has {', '.join(available)}; {cure}")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def _check_interface(bundle: str, manifest: Manifest, variant: Variant, session: ort.InferenceSession) -> None:
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
                f"{bundle}: {variant.file} and manifest.json differ in {what}: expected {_listed(expected)}, "
                f"got {_listed(got)}; package the model again"
            )


def _dtype(type_name: str) -> str:
    """`tensor(float)` as `float32`; what is no tensor stays as it is."""
    element = type_name[len("tensor(") : -1] if type_name.startswith("tensor(") else type_name
    return {"float": "float32", "double": "float64", "string": "str"}.get(element, element)


def _listed(pairs: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in pairs) or "none"
