"""What the shell's verbs print. Each takes the parsed arguments and returns the exit code."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._bench import bench as time_model
from ._bundle import open_bundle
from ._errors import InputError
from ._inputs import read_samples
from ._model import load
from ._result import Classification
from ._selftest import compare_golden

if TYPE_CHECKING:
    from argparse import Namespace

    from numpy.typing import NDArray

    from ._manifest import InputSpec, Manifest, OutputSpec
    from ._model import Model


def info(arguments: Namespace) -> int:
    """Print what the bundle holds; its manifest with --json. No session is made."""
    manifest = open_bundle(arguments.bundle).manifest
    print(manifest.dumps() if arguments.json else _summary(manifest), end="" if arguments.json else "\n")
    return 0


def run(arguments: Namespace) -> int:
    """Run samples from files, print each one's result, and write the raw outputs with --output.

    The written arrays are named after the outputs; with several samples `0/NAME`, `1/NAME` and so on.
    """
    model = _load(arguments)
    results, outputs = [], []
    for sample in read_samples(arguments.inputs, model.inputs):
        try:
            outputs.append(model.run(sample.inputs))
            result = model.read(outputs[-1])
        except InputError as error:
            raise InputError(f"{sample.source}: {error}") from error
        if arguments.json:
            results.append({"source": sample.source, **_as_json(result)})
        else:
            print(_as_text(sample.source, result))
    if arguments.json:
        _print_json(results)
    if arguments.output:
        one = len(outputs) == 1
        named = {name if one else f"{i}/{name}": a for i, arrays in enumerate(outputs) for name, a in arrays.items()}
        _write_npz(arguments.output, named)
    return 0


def selftest(arguments: Namespace) -> int:
    """Run the golden samples and print a line for each output. 1 when one differs."""
    report = compare_golden(_load(arguments))
    if arguments.json:
        outputs = [output._asdict() for output in report.outputs]
        _print_json({"ok": report.ok, "samples": report.samples, "outputs": outputs})
    else:
        for output in report.outputs:
            verdict = "ok" if output.ok else f"differs in golden sample {output.sample}"
            print(f"{output.name}  difference {output.difference:.3g}, allowed {output.allowed:.3g}: {verdict}")
        print(f"{'ok' if report.ok else 'differs'} ({_counted(report.samples, 'golden sample')})")
    return 0 if report.ok else 1


def bench(arguments: Namespace) -> int:
    """Time the model on its first golden sample."""
    report = time_model(_load(arguments), arguments.runs, arguments.warmup)
    if arguments.json:
        _print_json(report._asdict())
    else:
        print(f"median {report.median_us:.0f} us, p95 {report.p95_us:.0f} us over {_counted(report.runs, 'run')}")
        print(f"load {report.load_ms:.0f} ms")
    return 0


def _load(arguments: Namespace) -> Model:
    return load(arguments.bundle, verify=not arguments.no_verify, threads=arguments.threads)


def _summary(manifest: Manifest) -> str:
    model, session, size = manifest.model, manifest.session, sum(entry.bytes for entry in manifest.files.values())
    lines = [
        ("bundle", f"{manifest.name} {manifest.version} for {manifest.target}, {size / 1e6:.2f} MB"),
        ("model", f"{model.precision}, opset {model.opset}, IR {model.ir_version}"),
        ("onnxruntime", f"{manifest.onnxruntime.minimum} or newer, tested with {manifest.onnxruntime.tested}"),
        ("providers", ", ".join(provider.name for provider in session.providers)),
        ("threads", str(session.intra_op_threads or "onnxruntime's choice")),
    ]
    lines += [("input", _spec(spec) + (f", a {spec.image} picture" if spec.image else "")) for spec in manifest.inputs]
    lines += [("output", _spec(spec)) for spec in manifest.outputs]
    if manifest.result:
        labels = f", labels in {manifest.result.labels}" if manifest.result.labels else ""
        lines.append(("result", f"{manifest.result.type} from {manifest.result.output}{labels}"))
    lines.append(("golden", f"{_counted(manifest.golden.samples, 'sample')}, {manifest.golden.origin}"))
    if manifest.provenance:
        known = [(key, value) for key, value in manifest.provenance._asdict().items() if value is not None]
        lines += [(key.replace("_", " "), str(value)) for key, value in known]
    return "\n".join(f"{key:<20}{value}" for key, value in lines)


def _spec(spec: InputSpec | OutputSpec) -> str:
    return f"{spec.name}  {spec.dtype} ({', '.join(map(str, spec.shape))})"


def _as_text(source: str, result: Classification | dict[str, NDArray[Any]]) -> str:
    if isinstance(result, Classification):
        return f"{source}  {', '.join(map(str, result.top))}"
    lines = [source]
    for name, array in result.items():
        facts = "  ".join(f"{key} {value:.6g}" for key, value in _statistics(array).items())
        lines.append(f"  {name}  {_dtype(array)} {array.shape}  {facts}".rstrip())
    return "\n".join(lines)


def _as_json(result: Classification | dict[str, NDArray[Any]]) -> dict[str, Any]:
    if isinstance(result, Classification):
        return {"top": [guess._asdict() for guess in result.top]}
    outputs = {
        name: {"dtype": _dtype(array), "shape": list(array.shape), **_statistics(array)}
        for name, array in result.items()
    }
    return {"outputs": outputs}


def _dtype(array: NDArray[Any]) -> str:
    return "str" if array.dtype.kind in "OU" else str(array.dtype)


def _statistics(array: NDArray[Any]) -> dict[str, float]:
    """Minimum, maximum and mean; nothing for strings and for no elements."""
    if array.dtype.kind in "OU" or not array.size:
        return {}
    with np.errstate(invalid="ignore"):  # the mean of infinities of both signs is NaN, and may be
        mean = float(array.mean(dtype=np.float64))
    return {"min": float(array.min()), "max": float(array.max()), "mean": mean}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _print_json(value: object) -> None:
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """The same with null for infinity and NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write_npz(path: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an `.npz` whole or not at all. np.savez would stumble over an output named `file`."""
    from zipfile import ZipFile

    temporary = f"{path}.{os.getpid()}.partial"
    try:
        with ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                stored = array.astype(str) if array.dtype.kind == "O" else array
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, stored, allow_pickle=False)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
