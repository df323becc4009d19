"""What can go wrong on a device, one tree.

EdgeonnxError                 exit code 2: the caller gave something that can't be used
├── BundleError               the archive: cut short, altered, of a newer schema
│   └── SignatureError        exit code 1: not signed with the key that was given, or altered since
├── InputError                an input: wrong name, shape, dtype, or a picture that can't be read
├── DeviceError               this machine: onnxruntime too old, a provider that is not there
└── SelftestError             exit code 1: golden outputs differ on this device
"""


class EdgeonnxError(Exception):
    """Base of all errors that edgeonnx raises on purpose; the message is one line, cause and cure.

    Messages quote names out of files that may be damaged or made to deceive: line breaks and a terminal's control codes
    are written as escapes.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__("".join(char if char.isprintable() else ascii(char)[1:-1] for char in message))


class BundleError(EdgeonnxError):
    """The bundle is damaged, altered, or newer than this runtime."""


class SignatureError(BundleError):
    """The bundle is not signed, is signed with another key than the one given, or was altered since."""

    exit_code = 1


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


def run_error(error: BaseException) -> str:
    """Why onnxruntime could not run some inputs: the reason that ends the failing node's name, else what it says."""
    line = first_line(error)
    _, found, reason = line.partition("Name:'pipeline.")[2].partition("' Status Message")[0].partition(": ")
    return reason if found else f"onnxruntime could not run these inputs: {line}"
