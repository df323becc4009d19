"""`edgeonnx tune`: how a bundle runs best on this machine, measured by the runtime that a device uses."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from edgeonnx.errors import BundleError, DeviceError, InputError
from edgeonnx.providers.find import interpreter
from edgeonnx.runtime._bundle import Bundle, open_bundle
from edgeonnx.runtime._fields import Fields
from edgeonnx.runtime._findings import Candidate, TuneReport
from edgeonnx.runtime._tune import tune as measure
from edgeonnx.runtime._tuned import parse_setup


def tune(
    bundle: str | Path,
    policy: str = "latency",
    *,
    budget: float = 60.0,
    output: str | Path | None = None,
    python: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> TuneReport:
    """Measure providers, threads, sessions and session options, and write a profile that `load` picks up.

    Args:
        bundle: the `.edge` file.
        policy: what counts: `latency`, `throughput` or `battery`.
        budget: seconds to measure for.
        output: the profile to write; None: NAME.edge.tuned beside the bundle.
        python: an interpreter to measure in, and so the onnxruntime the profile is for; None: this one, or where it
            lacks a provider that the bundle names, one that has it and is found.
        progress: told the stage and seconds spent, of how many; by this interpreter alone.

    Raises:
        InputError: a policy, a budget or an interpreter that can't be used, or the profile can't be written.
        DeviceError: the bundle does not run here.
        BundleError: it is damaged, or has no golden samples.
    """
    opened = open_bundle(bundle)
    python = python or _other_interpreter(opened)
    if python is None:
        return measure(opened.path, policy, budget, output, progress)
    return _measure_with(Path(python), opened, policy, budget, output)


def _other_interpreter(bundle: Bundle) -> Path | None:
    """One that has the provider this interpreter's onnxruntime lacks; None where it lacks none, or there is none."""
    for provider in bundle.manifest.session.providers:
        if provider.name not in ort.get_available_providers():
            return interpreter(provider.name)
    return None


def _measure_with(python: Path, bundle: Bundle, policy: str, budget: float, output: str | Path | None) -> TuneReport:
    """Have another interpreter run the bundle's own `tune`."""
    if "edgeonnx_runtime/_tune.py" not in bundle.manifest.files:
        raise BundleError(f"{bundle.name}: the runtime in it can't tune; package the model again")
    command = [str(python), bundle.path, "tune", "--json", "--policy", policy, "--budget", str(budget)]
    if output is not None:
        command += ["--output", str(output)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"{python} can't be run: {error.strerror or error}; name another Python") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}, and said nothing"]
        raise DeviceError(f"{python}: {said[-1].removeprefix('error: ')}")
    found = json.loads(done.stdout)
    candidates = [
        Candidate(**{**each, "setup": parse_setup(Fields(each["setup"], file="tune"), bundle)})
        for each in found["candidates"]
    ]
    return TuneReport(**{**found, "candidates": tuple(candidates), "notes": tuple(found["notes"])})
