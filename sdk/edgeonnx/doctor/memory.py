"""Whether a model fits the device's memory."""

from dataclasses import dataclass

from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning

_MIB = 1 << 20
_SUBJECT = "memory"
# Python with numpy and onnxruntime, before any model: measured on Linux, x86-64.
_FLOOR_MB = 50
# What the system and other programs leave of a small board's memory is rarely more.
_SHARE = 0.5


@dataclass(frozen=True)
class Need:
    """Memory that a process with the model takes.

    Attributes:
        peak_mb: at its highest, in units of 2^20 bytes.
        measured: whether it was seen in a run here; else it is the least that can be.
    """

    peak_mb: int
    measured: bool


def least(weight_bytes: int) -> Need:
    """What a process takes at least: Python, onnxruntime and the weights once."""
    return Need(_FLOOR_MB + -(-weight_bytes // _MIB), measured=False)


def check_memory(need: Need, device: Device) -> Finding:
    """Hold what is needed against what is there."""
    how = "as measured in one run here" if need.measured else "weights and onnxruntime alone, no run was measured"
    needs = f"the process takes {'about' if need.measured else 'at least'} {need.peak_mb} MB ({how})"
    if device.memory_mb is None:
        return ok(_SUBJECT, f"{needs}; what the device has is not known")
    there = f"{device.memory_mb} MB in all"
    room = device.memory_mb * _SHARE
    if device.available_mb is not None:
        there, room = f"{device.available_mb} of {device.memory_mb} MB free", device.available_mb
    mend = 'set memory = "small" in the [session] of its profile, feed smaller inputs, or quantize to INT8'
    if need.peak_mb > device.memory_mb:
        return error(_SUBJECT, f"{needs}, and there are {there}", f"{mend}; or take a board with more")
    if need.peak_mb > room:
        return warning(_SUBJECT, f"{needs}, and there are {there}", mend)
    return ok(_SUBJECT, f"{needs}; there are {there}")
