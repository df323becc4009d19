"""What can go wrong on a device, one tree.

EdgeonnxError                 exit code 2: the caller gave something that can't be used
├── BundleError               the archive: cut short, altered, of a newer schema
├── InputError                an input: wrong name, shape, dtype, or a picture that can't be read
├── DeviceError               this machine: onnxruntime too old, a provider that is not there
└── SelftestError             exit code 1: golden outputs differ on this device
"""


class EdgeonnxError(Exception):
    """Base of all errors that edgeonnx raises on purpose; the message is one line, cause and cure."""

    exit_code = 2


class BundleError(EdgeonnxError):
    """The bundle is damaged, altered, or newer than this runtime."""


class InputError(EdgeonnxError):
    """An input does not fit: its name, shape, dtype, or a picture that can't be read."""


class DeviceError(EdgeonnxError):
    """This machine lacks what the bundle asks for: an onnxruntime release or a provider."""


class SelftestError(EdgeonnxError):
    """The golden samples give other outputs here than where the bundle was made."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """The first line of another library's error, to be put into one of ours."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
