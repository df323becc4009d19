"""manifest.json as types: docs/bundle.md, schema 1."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ._errors import BundleError
from ._fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "str"),
)
IMAGE_CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}
GRAPH_OPTIMIZATIONS = ("disabled", "basic", "extended", "all")

# NamedTuples, not dataclasses: as frozen, and several milliseconds cheaper to define on a small device.


class Requirement(NamedTuple):
    """The onnxruntime releases: the oldest that loads the model, and the one it was tested with."""

    minimum: str
    tested: str


class ModelInfo(NamedTuple):
    """The ONNX file: its entry, its precision in a word, its opset and IR version."""

    file: str
    precision: str
    opset: int
    ir_version: int


class InputSpec(NamedTuple):
    """One input. In `shape` an integer is fixed and a string names a free dimension.

    `image` is "grey", "rgb" or "bgr" when the input takes a decoded picture, H x W x C uint8.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    image: str | None = None


class OutputSpec(NamedTuple):
    """One output, and how far from the golden one a device may be: `atol + rtol * abs(expected)`."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    atol: float = 0.0
    rtol: float = 0.0


class Result(NamedTuple):
    """How to read the outputs: the scores' output, the entry with the class names, how many to give."""

    type: str
    output: str
    labels: str | None = None
    top_k: int = 1


class Provider(NamedTuple):
    """An execution provider with its options."""

    name: str
    options: Mapping[str, str] = MappingProxyType({})


class SessionSettings(NamedTuple):
    """What onnxruntime is given. 0 threads leaves the number to onnxruntime."""

    providers: tuple[Provider, ...] = (Provider("CPUExecutionProvider"),)
    intra_op_threads: int = 0
    inter_op_threads: int = 1
    graph_optimization: str = "all"
    config: Mapping[str, str] = MappingProxyType({})


class Golden(NamedTuple):
    """Number of golden samples, and where their inputs come from: "data" or "generated"."""

    samples: int
    origin: str


class Provenance(NamedTuple):
    """What is known of how the model was made."""

    source_sha256: str | None = None
    recipe: str | None = None
    metric: str | None = None
    float_score: float | None = None
    score: float | None = None
    evaluation_samples: int | None = None
    calibration_samples: int | None = None


class FileEntry(NamedTuple):
    """An entry of the archive: its size in bytes and its SHA-256, hexadecimal."""

    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """The whole of manifest.json."""

    name: str
    version: str
    target: str
    created_with: Mapping[str, str]
    onnxruntime: Requirement
    model: ModelInfo
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    result: Result | None
    session: SessionSettings
    golden: Golden
    provenance: Provenance | None
    files: Mapping[str, FileEntry]

    @classmethod
    def parse(cls, value: object) -> Manifest:
        """A manifest from what json.loads gave. Unknown fields are ignored.

        Raises:
            BundleError: a newer schema; or a field that is missing, of the wrong type, or contradicts another.
        """
        fields = Fields(value)
        schema = fields.integer("schema", minimum=1)
        if schema > SCHEMA:
            raise BundleError(
                f"manifest.json is of schema {schema}, this runtime knows {SCHEMA}; pip install -U edgeonnx-runtime"
            )
        manifest = cls(
            name=fields.text("name"),
            version=fields.text("version"),
            target=fields.text("target"),
            created_with=fields.texts("created_with"),
            onnxruntime=_requirement(fields.child("onnxruntime")),
            model=_model(fields.child("model")),
            inputs=tuple(_input(child) for child in fields.children("inputs")),
            outputs=tuple(_output(child) for child in fields.children("outputs")),
            result=_result(fields.child("result")) if fields.has("result") else None,
            session=_session(fields.child("session")),
            golden=_golden(fields.child("golden")),
            provenance=_provenance(fields.child("provenance")) if fields.has("provenance") else None,
            files=MappingProxyType({name: _file(child) for name, child in fields.items("files")}),
        )
        _check_references(manifest, fields)
        return manifest

    @classmethod
    def loads(cls, data: bytes) -> Manifest:
        """A manifest from the bytes of manifest.json. Raises BundleError as `parse` does, or when it is not JSON."""
        import json  # 2 ms that `import edgeonnx_runtime` need not pay

        try:
            value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"manifest.json is not JSON: {error}") from error
        return cls.parse(value)

    def to_dict(self) -> dict[str, Any]:
        """What `parse` reads, made of dicts, lists, strings and numbers. An input without `image` leaves it out."""
        plain: dict[str, Any] = {"schema": SCHEMA, **_plain(self)}
        for spec in plain["inputs"]:
            if spec["image"] is None:
                del spec["image"]
        return plain

    def dumps(self) -> str:
        """The text of manifest.json: sorted keys, two-space indent, a newline at the end."""
        import json

        return json.dumps(self.to_dict(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _requirement(fields: Fields) -> Requirement:
    return Requirement(fields.text("minimum"), fields.text("tested"))


def _model(fields: Fields) -> ModelInfo:
    return ModelInfo(
        fields.text("file"), fields.text("precision"), fields.integer("opset"), fields.integer("ir_version")
    )


def _input(fields: Fields) -> InputSpec:
    spec = InputSpec(
        name=fields.text("name"),
        dtype=fields.text("dtype", DTYPES),
        shape=fields.shape("shape"),
        image=fields.text("image", tuple(IMAGE_CHANNELS)) if fields.has("image") else None,
    )
    if spec.image:
        channels = IMAGE_CHANNELS[spec.image]
        if spec.dtype != "uint8":
            raise fields.error("dtype", f"uint8, since image is {spec.image}", spec.dtype)
        if spec.shape[2:] != (channels,):
            raise fields.error("shape", f"[height, width, {channels}], since image is {spec.image}", list(spec.shape))
    return spec


def _output(fields: Fields) -> OutputSpec:
    return OutputSpec(
        name=fields.text("name"),
        dtype=fields.text("dtype", DTYPES),
        shape=fields.shape("shape"),
        atol=fields.number("atol", minimum=0),
        rtol=fields.number("rtol", minimum=0),
    )


def _result(fields: Fields) -> Result:
    return Result(
        type=fields.text("type", ("classification",)),
        output=fields.text("output"),
        labels=fields.text("labels") if fields.has("labels") else None,
        top_k=fields.integer("top_k", minimum=1),
    )


def _session(fields: Fields) -> SessionSettings:
    return SessionSettings(
        providers=tuple(Provider(child.text("name"), child.texts("options")) for child in fields.children("providers")),
        intra_op_threads=fields.integer("intra_op_threads"),
        inter_op_threads=fields.integer("inter_op_threads"),
        graph_optimization=fields.text("graph_optimization", GRAPH_OPTIMIZATIONS),
        config=fields.texts("config"),
    )


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


def _file(fields: Fields) -> FileEntry:
    return FileEntry(fields.integer("bytes"), fields.text("sha256"))


def _check_references(manifest: Manifest, fields: Fields) -> None:
    """What one field says of another: names met once, files and outputs that are there."""
    for key, specs in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        names = [spec.name for spec in specs]
        if len(set(names)) < len(names):
            raise fields.error(key, "names that differ", names)
    result = manifest.result
    numeric = [spec.name for spec in manifest.outputs if spec.dtype != "str"]
    if result and result.output not in numeric:
        raise fields.error("result.output", "a numeric one of the outputs", result.output)
    if manifest.model.file not in manifest.files:
        raise fields.error("model.file", "an entry of files", manifest.model.file)
    if result and result.labels is not None and result.labels not in manifest.files:
        raise fields.error("result.labels", "null or an entry of files", result.labels)
    if not manifest.session.providers:
        raise fields.error("session.providers", "at least one provider", [])


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, (dict, MappingProxyType)):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
