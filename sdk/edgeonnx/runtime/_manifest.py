"""manifest.json as types: docs/bundle.md, schema 2. `_parse.py` reads it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ._errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._custom_ops import CustomOps
    from ._placement import Foretold

SCHEMA = 2

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "str"),
)
IMAGE_CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}
ROLES = {
    "classification": ("scores",),
    "detection": ("boxes", "scores", "classes"),
    "segmentation": ("mask",),
    "embedding": ("vector",),
}
GRAPH_OPTIMIZATIONS = ("disabled", "basic", "extended", "all")
MEMORY = ("fast", "small")
# NamedTuples, not dataclasses: as frozen, and several milliseconds cheaper to define on a small device.


class Requirement(NamedTuple):
    """The onnxruntime releases: the oldest that loads the model, and the one it was tested with."""

    minimum: str
    tested: str


class Tolerance(NamedTuple):
    """How far an output may be from the golden one: `abs(got - expected) <= atol + rtol * abs(expected)`."""

    atol: float
    rtol: float


class Variant(NamedTuple):
    """One form of the model: float, INT8 for CPUs with integer dot products, ...

    Attributes:
        name: unique in the bundle; begins its golden outputs' names.
        file: the entry with the ONNX file.
        precision: a word for people.
        opset, ir_version: the ONNX file's.
        minimum: the oldest onnxruntime that loads it.
        features: what a CPU must have for it to be chosen, of `_variants.FEATURES`; none: any CPU.
        graph_optimization: what onnxruntime is to do when it loads it, one of `GRAPH_OPTIMIZATIONS`.
        tolerance: name of every output -> how far from the golden one a device may be.
        weights: the entries that hold its external weights.
        providers: in order of preference, in place of the session's where there are any.
        placement: where its nodes are to land.
    """

    name: str
    file: str
    precision: str
    opset: int
    ir_version: int
    minimum: str
    features: tuple[str, ...]
    graph_optimization: str
    tolerance: Mapping[str, Tolerance]
    weights: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    placement: Foretold | None = None


class Media(NamedTuple):
    """What an input is read from, where that is more than an array.

    Attributes:
        type: `image`, `audio`, `text` or `table`.
        color: of a picture: `grey`, `rgb` or `bgr`; the input is H x W x C uint8.
        encoded: of a picture: the input takes the bytes of a JPEG or PNG file, and the graph decodes them.
        rate: of audio: samples a second that the input takes, in Hz.
        channels: of audio: 1 takes mono, shape (samples,); more take (samples, channels).
        min_samples: of audio: the fewest samples that the preprocessing can make an input of.
        columns: of a table: names of this input's columns, in order.
    """

    type: str
    color: str | None = None
    encoded: bool = False
    rate: int | None = None
    channels: int = 1
    columns: tuple[str, ...] = ()
    min_samples: int = 1


class InputSpec(NamedTuple):
    """One input. In `shape` an integer is fixed, a string names a free dimension; `missing`: NaN may stand in it."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    media: Media | None = None
    missing: bool = False


class OutputSpec(NamedTuple):
    """One output."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Result(NamedTuple):
    """How to read the outputs.

    Attributes:
        type: `classification` (roles: scores), `detection` (boxes, scores, classes), `segmentation` (mask), `embedding`
            (vector).
        outputs: role -> name of the output that plays it.
        labels: the entry with the class names, or None.
        top_k: how many classes to give, of a classification.
        threshold: what a score of a classification must exceed to be given; None: the best are, however low.
    """

    type: str
    outputs: Mapping[str, str]
    labels: str | None = None
    top_k: int = 1
    threshold: float | None = None


class Stream(NamedTuple):
    """How a signal without an end is cut into runs of the model, and what a run hands to the next.

    Attributes:
        input: the input that takes the signal; None where only `state` goes from run to run, and the rest is 0.
        window: samples that one run takes.
        hop: samples between the beginnings of two runs.
        rate: samples a second, in Hz.
        state: input -> the output of one run that is fed to it in the next.
    """

    input: str | None = None
    window: int = 0
    hop: int = 0
    rate: int = 0
    state: Mapping[str, str] = MappingProxyType({})


class Baseline(NamedTuple):
    """What calibration saw at one input of the model proper, behind its preprocessing.

    Attributes:
        low, high: of all values.
        mean, mean_std: of the samples' means: their mean, and their standard deviation.
        spread, spread_std: of the samples' standard deviations: their mean, and their standard deviation.
        samples: how many samples were seen.
    """

    low: float
    high: float
    mean: float
    mean_std: float
    spread: float
    spread_std: float
    samples: int


class Health(NamedTuple):
    """What the device's inputs are compared with.

    Attributes:
        file: the entry with an ONNX graph of the preprocessing and, for each name of `inputs`, an output `NAME.health`:
            float32, shape (5, samples): low, high, mean, standard deviation, share of values outside `low` to `high`.
        inputs: name of an input of the model proper -> what calibration saw there.
    """

    file: str
    inputs: Mapping[str, Baseline]


class PipelineInfo(NamedTuple):
    """The joined pre- and postprocessing: the spec's fingerprint, and the entry that holds its text."""

    fingerprint: str
    file: str


class Provider(NamedTuple):
    """An execution provider with its options."""

    name: str
    options: Mapping[str, str] = MappingProxyType({})


class SessionSettings(NamedTuple):
    """What onnxruntime is given.

    Attributes:
        providers: in order of preference.
        intra_op_threads, inter_op_threads: 0 leaves the number to onnxruntime.
        memory: `fast`, or `small` for as little as the model runs in.
        config: onnxruntime's own session settings.
    """

    providers: tuple[Provider, ...] = (Provider("CPUExecutionProvider"),)
    intra_op_threads: int = 0
    inter_op_threads: int = 1
    memory: str = "fast"
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
    """The whole of manifest.json.

    Attributes:
        extensions: the onnxruntime-extensions it was tested with; None where the graph needs none.
        variants: in order of preference.
        custom_ops: operators of the user's own, with the libraries that have them; None where the graph needs none.
    """

    name: str
    version: str
    target: str
    created_with: Mapping[str, str]
    onnxruntime: Requirement
    extensions: str | None
    variants: tuple[Variant, ...]
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    result: Result | None
    stream: Stream | None
    pipeline: PipelineInfo | None
    health: Health | None
    session: SessionSettings
    golden: Golden
    provenance: Provenance | None
    files: Mapping[str, FileEntry]
    custom_ops: CustomOps | None = None

    @classmethod
    def parse(cls, value: object) -> Manifest:
        """A manifest from what json.loads gave. Unknown fields are ignored.

        Raises:
            BundleError: another schema; or a field that is missing, of the wrong type, or contradicts another.
        """
        from ._parse import parse_manifest

        return parse_manifest(value)

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
        """What `parse` reads, made of dicts, lists, strings and numbers."""
        from ._plain import plain_manifest

        return plain_manifest(self)

    def dumps(self) -> str:
        """The text of manifest.json: sorted keys, two-space indent, a newline at the end."""
        import json

        return json.dumps(self.to_dict(), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
