"""One library of custom operators, tried in a process of its own: `python _trial.py LIBRARY`.

onnxruntime loads it, which may end the process, as native code can. Then it is asked which version of the C API it
wants, by a stand-in for onnxruntime that has none: the versions are printed, a line each, and what it does next does
not matter. Both is told by what is printed, not by the exit code.
"""

import ctypes
import os
import sys

TAKEN = "taken"
_GET_API = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
_GET_VERSION = ctypes.CFUNCTYPE(ctypes.c_char_p)


class _ApiBase(ctypes.Structure):
    """OrtApiBase, as onnxruntime_c_api.h has it."""

    _fields_ = [("get_api", _GET_API), ("get_version", _GET_VERSION)]


def main() -> None:
    """Try, then ask."""
    import onnxruntime as ort

    path = sys.argv[1]
    ort.SessionOptions().register_custom_ops_library(path)
    _say(TAKEN)
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    asked: list[int] = []

    def get_api(version: int) -> None:
        if version not in asked:
            asked.append(version)
            _say(version)

    base = _ApiBase(_GET_API(get_api), _GET_VERSION(lambda: b"1.1.0"))  # the oldest, for those that fit what they find
    ctypes.CDLL(path).RegisterCustomOps(None, ctypes.byref(base))
    os._exit(0)  # not through whatever it has registered to be done at the end


def _say(word: object) -> None:
    """A line that stands even if the process ends in the next moment."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
