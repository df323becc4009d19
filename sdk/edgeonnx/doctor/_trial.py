"""One run in a process of its own, with numpy and onnxruntime alone: `python _trial.py FILE RESULT.json [LIBRARY]`.

FILE is a model, run once on zeros with every free dimension 1, or a bundle, whose self-test is run. RESULT gets the
process's largest resident memory, in bytes, once the model is loaded; what fails ends the process with a traceback.
"""

import json
import sys
from pathlib import Path

_KIB = 1024
_loaded: list[str] = []  # the file, once a session is made of it


def main() -> int:
    """Run, then write the result."""
    path, result, *libraries = sys.argv[1:]
    try:
        return _bundle(path) if path.endswith(".edge") else _model(path, libraries)
    finally:
        if _loaded:
            Path(result).write_text(json.dumps({"peak": _peak()}), "utf-8")


def _model(path: str, libraries: list[str]) -> int:
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    for library in libraries:
        options.register_custom_ops_library(library)
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    _loaded.append(path)
    feeds = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        kind = value.type.removeprefix("tensor(").removesuffix(")")
        dtype = {"float": "float32", "double": "float64", "string": "object"}.get(kind, kind)
        feeds[value.name] = np.full(shape, "", object) if dtype == "object" else np.zeros(shape, dtype)
    session.run(None, feeds)
    return 0


def _bundle(path: str) -> int:
    import runpy

    sys.argv = [path, "selftest"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0)
        if code in (0, 1):  # 1: golden samples differ
            _loaded.append(path)
        return code
    return 0


def _peak() -> int:
    """What Linux counts for this program alone; elsewhere what the process was charged with, the one before it too."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


if __name__ == "__main__":
    sys.exit(main())
