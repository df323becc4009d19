"""Reads manifest.json into the types of `_manifest.py`, and checks what one field says of another."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ._errors import BundleError
from ._fields import Fields
from ._manifest import (
    DTYPES,
    GRAPH_OPTIMIZATIONS,
    IMAGE_CHANNELS,
    MEMORY,
    ROLES,
    SCHEMA,
    Baseline,
    FileEntry,
    Golden,
    Health,
    InputSpec,
    Manifest,
    Media,
    OutputSpec,
    PipelineInfo,
    Provenance,
    Provider,
    Requirement,
    Result,
    SessionSettings,
    Stream,
    Tolerance,
    Variant,
)
from ._placement import Foretold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from ._custom_ops import CustomOps

    T = TypeVar("T")


def parse_manifest(value: object) -> Manifest:
    """A manifest from what json.loads gave: see `Manifest.parse`."""
    fields = Fields(value)
    _check_schema(fields.integer("schema", minimum=1))
    manifest = Manifest(
        name=fields.text("name"),
        version=fields.text("version"),
        target=fields.text("target"),
        created_with=fields.texts("created_with"),
        onnxruntime=_requirement(fields.child("onnxruntime")),
        extensions=fields.text("extensions") if fields.has("extensions") else None,
        variants=tuple(_variant(child) for child in fields.children("variants")),
        inputs=tuple(_input(child) for child in fields.children("inputs")),
        outputs=tuple(_output(child) for child in fields.children("outputs")),
        result=_optional(fields, "result", _result),
        stream=_optional(fields, "stream", _stream),
        pipeline=_optional(fields, "pipeline", _pipeline),
        health=_optional(fields, "health", _health),
        session=_session(fields.child("session")),
        golden=_golden(fields.child("golden")),
        provenance=_optional(fields, "provenance", _provenance),
        files=MappingProxyType({name: _file(child) for name, child in fields.items("files")}),
        custom_ops=_optional(fields, "custom_ops", _custom_ops),
    )
    _check_names(manifest, fields)
    _check_files(manifest, fields)
    return manifest


def _check_schema(schema: int) -> None:
    if schema > SCHEMA:
        raise BundleError(
            f"manifest.json is of schema {schema}, this runtime knows {SCHEMA}; pip install -U edgeonnx-runtime"
        )
    if schema < SCHEMA:
        raise BundleError(f"manifest.json is of schema {schema}, this runtime knows {SCHEMA}; package the model again")


def _optional(fields: Fields, name: str, parse: Callable[[Fields], T]) -> T | None:
    return parse(fields.child(name)) if fields.has(name) else None


def _requirement(fields: Fields) -> Requirement:
    return Requirement(fields.text("minimum"), fields.text("tested"))


def _variant(fields: Fields) -> Variant:
    return Variant(
        name=fields.text("name"),
        file=fields.text("file"),
        precision=fields.text("precision"),
        opset=fields.integer("opset"),
        ir_version=fields.integer("ir_version"),
        minimum=fields.text("minimum"),
        features=fields.strings("features"),
        graph_optimization=fields.text("graph_optimization", GRAPH_OPTIMIZATIONS),
        tolerance=MappingProxyType({name: _tolerance(child) for name, child in fields.items("tolerance")}),
        weights=fields.strings("weights"),
        providers=_providers(fields) if fields.has("providers") else (),
        placement=_optional(fields, "placement", _foretold),
    )


def _foretold(fields: Fields) -> Foretold:
    share = fields.number("share", minimum=0) if fields.has("share") else None
    return Foretold(fields.counts("nodes"), share, fields.flag("asked"))


def _tolerance(fields: Fields) -> Tolerance:
    return Tolerance(fields.number("atol", minimum=0), fields.number("rtol", minimum=0))


def _input(fields: Fields) -> InputSpec:
    spec = InputSpec(
        name=fields.text("name"),
        dtype=fields.text("dtype", DTYPES),
        shape=fields.shape("shape"),
        media=_optional(fields, "media", _media),
        missing=fields.has("missing") and fields.flag("missing"),
    )
    color = spec.media.color if spec.media else None
    if color and spec.dtype != "uint8":
        raise fields.error("dtype", f"uint8, since color is {color}", spec.dtype)
    if color and spec.media and not spec.media.encoded and spec.shape[2:] != (IMAGE_CHANNELS[color],):
        shape = f"[height, width, {IMAGE_CHANNELS[color]}], since color is {color}"
        raise fields.error("shape", shape, list(spec.shape))
    if spec.missing and not spec.dtype.startswith("float"):
        raise fields.error("missing", f"false, since dtype is {spec.dtype}", True)
    return spec


def _media(fields: Fields) -> Media:
    return Media(
        type=fields.text("type", ("image", "audio", "text", "table")),
        color=fields.text("color", tuple(IMAGE_CHANNELS)) if fields.has("color") else None,
        encoded=fields.has("encoded") and fields.flag("encoded"),
        rate=fields.integer("rate", minimum=1) if fields.has("rate") else None,
        channels=fields.integer("channels", minimum=1) if fields.has("channels") else 1,
        columns=fields.strings("columns") if fields.has("columns") else (),
        min_samples=fields.integer("min_samples", minimum=1) if fields.has("min_samples") else 1,
    )


def _output(fields: Fields) -> OutputSpec:
    return OutputSpec(fields.text("name"), fields.text("dtype", DTYPES), fields.shape("shape"))


def _result(fields: Fields) -> Result:
    return Result(
        type=fields.text("type", tuple(ROLES)),
        outputs=fields.texts("outputs"),
        labels=fields.text("labels") if fields.has("labels") else None,
        top_k=fields.integer("top_k", minimum=1),
        threshold=fields.number("threshold") if fields.has("threshold") else None,
    )


def _stream(fields: Fields) -> Stream:
    if not fields.has("input"):
        return Stream(state=fields.texts("state"))
    return Stream(
        input=fields.text("input"),
        window=fields.integer("window", minimum=1),
        hop=fields.integer("hop", minimum=1),
        rate=fields.integer("rate", minimum=1),
        state=fields.texts("state"),
    )


def _pipeline(fields: Fields) -> PipelineInfo:
    return PipelineInfo(fields.text("fingerprint"), fields.text("file"))


def _health(fields: Fields) -> Health:
    baselines = {name: _baseline(child) for name, child in fields.items("inputs")}
    return Health(fields.text("file"), MappingProxyType(baselines))


def _baseline(fields: Fields) -> Baseline:
    return Baseline(
        low=fields.number("low"),
        high=fields.number("high"),
        mean=fields.number("mean"),
        mean_std=fields.number("mean_std", minimum=0),
        spread=fields.number("spread", minimum=0),
        spread_std=fields.number("spread_std", minimum=0),
        samples=fields.integer("samples", minimum=1),
    )


def _session(fields: Fields) -> SessionSettings:
    return SessionSettings(
        providers=_providers(fields),
        intra_op_threads=fields.integer("intra_op_threads"),
        inter_op_threads=fields.integer("inter_op_threads"),
        memory=fields.text("memory", MEMORY),
        config=fields.texts("config"),
    )


def _providers(fields: Fields) -> tuple[Provider, ...]:
    return tuple(Provider(child.text("name"), child.texts("options")) for child in fields.children("providers"))


def _golden(fields: Fields) -> Golden:
    return Golden(fields.integer("samples"), fields.text("origin", ("data", "generated")))


def _provenance(fields: Fields) -> Provenance:
    def text(name: str) -> str | None:
        return fields.text(name) if fields.has(name) else None

    def number(name: str) -> float | None:
        return fields.number(name) if fields.has(name) else None

    def count(name: str) -> int | None:
        return fields.integer(name) if fields.has(name) else None

    return Provenance(
        source_sha256=text("source_sha256"),
        recipe=text("recipe"),
        metric=text("metric"),
        float_score=number("float_score"),
        score=number("score"),
        evaluation_samples=count("evaluation_samples"),
        calibration_samples=count("calibration_samples"),
    )


def _custom_ops(fields: Fields) -> CustomOps:
    from ._custom_ops import CustomOps, Library  # milliseconds that other bundles need not pay

    libraries = tuple(Library(each.text("file"), each.text("platform")) for each in fields.children("libraries"))
    return CustomOps(fields.strings("operators"), libraries)


def _file(fields: Fields) -> FileEntry:
    return FileEntry(fields.integer("bytes"), fields.text("sha256"))


def _check_names(manifest: Manifest, fields: Fields) -> None:
    """Names met once, and only of what is there."""
    inputs, outputs = ([spec.name for spec in specs] for specs in (manifest.inputs, manifest.outputs))
    for key, names in (("inputs", inputs), ("outputs", outputs), ("variants", [v.name for v in manifest.variants])):
        if len(set(names)) < len(names):
            raise fields.error(key, "names that differ", names)
    if not manifest.variants:
        raise fields.error("variants", "at least one variant", [])
    if not manifest.session.providers:
        raise fields.error("session.providers", "at least one provider", [])
    for i, variant in enumerate(manifest.variants):
        if variant.tolerance.keys() != set(outputs):
            raise fields.error(f"variants[{i}].tolerance", f"one each for {', '.join(outputs)}", [*variant.tolerance])
    for field, name, names in _references(manifest, inputs, outputs):
        if name not in names:
            raise fields.error(field, f"one of {', '.join(names)}", name)


def _references(manifest: Manifest, inputs: list[str], outputs: list[str]) -> Iterator[tuple[str, object, list[str]]]:
    """Each field that names an input or output: its place, the name, and the names there are."""
    result, stream = manifest.result, manifest.stream
    if result:
        numeric = [spec.name for spec in manifest.outputs if spec.dtype != "str"]
        for role in ROLES[result.type]:
            yield f"result.outputs.{role}", result.outputs.get(role), numeric
    if stream:
        if stream.input is not None:
            yield "stream.input", stream.input, inputs
        for name, output in stream.state.items():
            yield "stream.state", name, inputs
            yield f"stream.state.{name}", output, outputs


def _check_files(manifest: Manifest, fields: Fields) -> None:
    """Every entry that a field names is listed in `files`."""
    named: list[tuple[str, str | None]] = []
    for i, variant in enumerate(manifest.variants):
        named.append((f"variants[{i}].file", variant.file))
        named += [(f"variants[{i}].weights[{j}]", name) for j, name in enumerate(variant.weights)]
    named.append(("result.labels", manifest.result.labels if manifest.result else None))
    named.append(("pipeline.file", manifest.pipeline.file if manifest.pipeline else None))
    named.append(("health.file", manifest.health.file if manifest.health else None))
    libraries = manifest.custom_ops.libraries if manifest.custom_ops else ()
    named += [(f"custom_ops.libraries[{i}].file", library.file) for i, library in enumerate(libraries)]
    for field, name in named:
        if name is not None and name not in manifest.files:
            raise fields.error(field, "an entry of files", name)
