"""What a bundle holds, as a table of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._variants import cpu_features, unmet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._manifest import InputSpec, Manifest, OutputSpec, Variant


def summary(manifest: Manifest) -> str:
    """The manifest in lines of a name and what it says."""
    return "\n".join(f"{key:<20}{value}" for key, value in _lines(manifest))


def counted(count: int, what: str) -> str:
    """`1 sample`, `2 samples`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    session, size = manifest.session, sum(entry.bytes for entry in manifest.files.values())
    yield "bundle", f"{manifest.name} {manifest.version} for {manifest.target}, {size / 1e6:.2f} MB"
    yield from _variants(manifest)
    yield "onnxruntime", f"{manifest.onnxruntime.minimum} or newer, tested with {manifest.onnxruntime.tested}"
    if manifest.extensions:
        yield "extensions", f"onnxruntime-extensions, tested with {manifest.extensions}"
    if manifest.custom_ops:
        yield "custom operators", ", ".join(manifest.custom_ops.operators)
    for library in manifest.custom_ops.libraries if manifest.custom_ops else ():
        yield "library", f"{library.file}, for {library.platform}, sha256 {manifest.files[library.file].sha256[:12]}"
    if not all(variant.providers for variant in manifest.variants):
        yield "providers", ", ".join(provider.name for provider in session.providers)
    yield "threads", str(session.intra_op_threads or "onnxruntime's choice")
    if session.memory != "fast":
        yield "memory", session.memory
    for spec in manifest.inputs:
        yield "input", _spec(spec) + (f", {spec.media.type}" if spec.media else "")
    for output in manifest.outputs:
        yield "output", _spec(output)
    yield from _around(manifest)
    yield "golden", f"{counted(manifest.golden.samples, 'sample')}, {manifest.golden.origin}"
    for key, value in manifest.provenance._asdict().items() if manifest.provenance else ():
        if value is not None:
            yield key.replace("_", " "), str(value)


def _variants(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The variants, and the one that this machine's CPU is for."""
    features = cpu_features()
    for variant in manifest.variants:
        files = (variant.file, *variant.weights)
        size = sum(manifest.files[name].bytes for name in files)
        needs = f", for CPUs with {', '.join(variant.features)}" if variant.features else ""
        on = f", on {', '.join(provider.name for provider in variant.providers)}" if variant.providers else ""
        what = f"{variant.precision}, opset {variant.opset}, IR {variant.ir_version}, {size / 1e6:.2f} MB{needs}{on}"
        yield "model" if len(manifest.variants) == 1 else f"variant {variant.name}", what
    if len(manifest.variants) > 1:
        yield "here", _here(manifest.variants, features)


def _here(variants: tuple[Variant, ...], features: frozenset[str]) -> str:
    has = f"this CPU has {', '.join(sorted(features)) or 'none of the known features'}"
    chosen = next((variant for variant in variants if not unmet(variant, features)), None)
    return f"{chosen.name if chosen else 'none of them'}: {has}"


def _around(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What is around the model: result, stream, pipeline, health."""
    result, stream, health = manifest.result, manifest.stream, manifest.health
    if result:
        labels = f", labels in {result.labels}" if result.labels else ""
        yield "result", f"{result.type} from {', '.join(result.outputs.values())}{labels}"
    if stream and stream.input:
        yield "stream", f"{stream.input}, windows of {stream.window} samples, every {stream.hop}, at {stream.rate} Hz"
    if stream and stream.state:
        yield "state", ", ".join(f"{name} from {output}" for name, output in stream.state.items())
    if manifest.pipeline:
        yield "pipeline", f"{manifest.pipeline.fingerprint[:12]}, in {manifest.pipeline.file}"
    for name, seen in health.inputs.items() if health else ():
        samples = counted(seen.samples, "calibration sample")
        yield "health", f"{name} from {seen.low:.4g} to {seen.high:.4g}, mean {seen.mean:.4g}, over {samples}"


def _spec(spec: InputSpec | OutputSpec) -> str:
    return f"{spec.name}  {spec.dtype} ({', '.join(map(str, spec.shape))})"
