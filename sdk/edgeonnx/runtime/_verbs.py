"""What the shell's verbs print. Each takes the parsed arguments and returns the exit code."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._bench import bench as time_model
from ._bundle import open_bundle
from ._errors import InputError
from ._info import counted, summary
from ._inputs import read_samples
from ._load import load
from ._selftest import compare_golden
from ._tell import as_json, as_text

if TYPE_CHECKING:
    from argparse import Namespace

    from numpy.typing import NDArray

    from ._model import Model
    from ._placement import Placement
    from ._selftest import SelftestReport


def info(arguments: Namespace) -> int:
    """Print what the bundle holds; its manifest with --json. No session is made."""
    manifest = open_bundle(arguments.bundle).manifest
    print(manifest.dumps() if arguments.json else summary(manifest), end="" if arguments.json else "\n")
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
            results.append({"source": sample.source, **as_json(result)})
        else:
            print(as_text(sample.source, result))
    if arguments.json:
        _print_json(results)
    if arguments.output:
        one = len(outputs) == 1
        named = {name if one else f"{i}/{name}": a for i, arrays in enumerate(outputs) for name, a in arrays.items()}
        _write_npz(arguments.output, named)
    return 0


def selftest(arguments: Namespace) -> int:
    """Run the golden samples and print a line for each output. 1 when one differs.

    Of the variant that runs here; with `--variant all` of each.
    """
    names: list[str | None] = [arguments.variant]
    if arguments.variant == "all":
        names = [variant.name for variant in open_bundle(arguments.bundle).manifest.variants]
    reports, placements = {}, {}
    for name in names:
        with _load(arguments, name) as model:
            reports[model.variant.name] = compare_golden(model)
            placements[model.variant.name] = model.placement()
    if arguments.json:
        told = [_selftest_json(name, report, placements[name]) for name, report in reports.items()]
        _print_json(told if arguments.variant == "all" else told[0])
    else:
        for name, report in reports.items():
            prefix = f"{name}: " if arguments.variant == "all" else ""
            for output in report.outputs:
                verdict = "ok" if output.ok else f"differs in golden sample {output.sample}"
                difference = f"difference {output.difference:.3g}, allowed {output.allowed:.3g}"
                print(f"{prefix}{output.name}  {difference}: {verdict}")
            print(f"{prefix}placement: {placements[name]}")
            print(f"{prefix}{'ok' if report.ok else 'differs'} ({counted(report.samples, 'golden sample')})")
    return 0 if all(report.ok for report in reports.values()) else 1


def bench(arguments: Namespace) -> int:
    """Time the model on its first golden sample."""
    model = _load(arguments)
    report = time_model(model, arguments.runs, arguments.warmup)
    if arguments.json:
        _print_json(report._asdict())
    else:
        print(f"median {report.median_us:.0f} us, p95 {report.p95_us:.0f} us over {counted(report.runs, 'run')}")
        print(f"{report.per_second:.0f} runs a second, {counted(report.sessions, 'session')}")
        print(f"load {report.load_ms:.0f} ms")
        for notice in model.notices:
            print(notice)
    return 0


def tune(arguments: Namespace) -> int:
    """Find what settings suit this machine, write them for load(), and print what was measured."""
    from ._findings import as_table
    from ._tune import tune as measure

    report = measure(arguments.bundle, arguments.policy, arguments.budget, arguments.output)
    if arguments.json:
        _print_json(report.to_dict())
        return 0
    rows = as_table(report)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for note in report.notes:
        print(f"note: {note}")
    print(f"{report.winner or 'nothing is better than the settings of the bundle'}: {report.path}")
    return 0


def health(arguments: Namespace) -> int:
    """Compare samples with those of calibration. 1 when they raise the alarm."""
    model = _load(arguments)
    monitor = model.monitor
    monitor.on_alarm = lambda _: None  # it is told below
    for sample in read_samples(arguments.inputs, model.inputs):
        model.check(sample.inputs)
        monitor.look(sample.inputs)
    report = monitor.report()
    if arguments.json:
        _print_json({"alarm": report.alarm, "inputs": [each._asdict() for each in report.inputs]})
    else:
        for each in report.inputs:
            print(
                f"{each.name}  {counted(each.samples, 'sample')}, from {each.low:.4g} to {each.high:.4g}, mean "
                f"{each.mean:.4g}, {each.outside:.1%} outside the calibrated range"
            )
        print(f"alarm: {report.why}" if report.alarm else "ok")
    return 1 if report.alarm else 0


def _load(arguments: Namespace, variant: str | None = None) -> Model:
    """The model as the options say; those that a verb lacks are left to load()."""
    given = vars(arguments)
    return load(
        arguments.bundle,
        verify=not arguments.no_verify,
        threads=arguments.threads,
        sessions=given.get("sessions"),
        variant=variant or given.get("variant"),
        tuned=not arguments.no_tuned,
    )


def _selftest_json(name: str, report: SelftestReport, placement: Placement) -> dict[str, Any]:
    outputs = [output._asdict() for output in report.outputs]
    landed = {"nodes": dict(placement.nodes), "difference": placement.difference}
    return {"variant": name, "ok": report.ok, "samples": report.samples, "outputs": outputs, "placement": landed}


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
