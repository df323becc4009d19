"""An ONNX model with what the stages ask of it: inputs and outputs, opset, size, load, save, a session."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from google.protobuf.message import DecodeError

from edgeonnx.dims import open_negative
from edgeonnx.errors import ModelError, first_line
from edgeonnx.explain import explain
from edgeonnx.external import all_weights, attach, inside, save_beside
from edgeonnx.files import replacing, sha256
from edgeonnx.libraries import inline_custom, not_registered, register
from edgeonnx.names import name_apart

_RECORD = "edgeonnx"
# Protobuf refuses messages of 2 GiB; the margin is for what is not weights.
_INLINE_LIMIT = (1 << 31) - (64 << 20)


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a model's input or output.

    Attributes:
        name: as in the graph.
        dtype: numpy's name (`float32`, `int64`, `bool`, `bfloat16`, …), `str` for strings, `sequence` or `optional`
            for what is no tensor.
        shape: an integer for a fixed dimension, a name or None for a free one; None as a whole: rank unknown.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    @property
    def fixed(self) -> bool:
        """Whether every dimension is a number."""
        return self.shape is not None and all(isinstance(size, int) for size in self.shape)

    def __str__(self) -> str:
        shape = "?" if self.shape is None else ",".join("?" if s is None else str(s) for s in self.shape)
        return f"{self.name}: {self.dtype}[{shape}]"


class Model:
    """An ONNX model. Stages take one and return another; none changes the one it was given.

    Args:
        graph: the model in onnx-ir's form; weights in external files stay on disk until they are used.
        path: the file it was read from, None once a stage has made it.
        mended: something in the file was put right when it was read, so that it can't be run from there.
    """

    def __init__(self, graph: ir.Model, path: Path | None = None, mended: bool = False) -> None:
        self.ir = graph
        self.path = path
        self._mended = mended

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read an `.onnx` file.

        Raises:
            ModelError: no such file, not ONNX, cut short, or its external data is missing.
        """
        path = Path(path)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "no such file"
            raise ModelError(f"{path}: {what}; expected an ONNX model")
        try:
            proto = onnx.load(path, format="protobuf", load_external_data=False)
        except DecodeError as error:
            message = f"{path} is not an ONNX model, or is cut short; copy or export it again"
            raise ModelError(message) from error
        except OSError as error:
            raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
        _check_whole(proto, path)
        try:
            model = ir.from_proto(proto)
            model.graph.sort()
        except Exception as error:  # onnx-ir raises what its parsers raise
            raise ModelError(f"{path} is not a valid ONNX model: {first_line(_root(error))}") from error
        _check_domains(model, path)
        attach(model, path)
        open_negative(model)
        inlined, renamed = inline_custom(model), name_apart(model)
        return cls(model, path, mended=inlined or renamed)

    @classmethod
    def from_proto(cls, proto: onnx.ModelProto) -> Model:
        """Wrap a protobuf model, its nodes brought into topological order; its weights must be inside it."""
        model = ir.from_proto(proto)
        model.graph.sort()
        inline_custom(model)
        open_negative(model)
        return cls(model)

    def to_proto(self, any_size: bool = False) -> onnx.ModelProto:
        """The model as protobuf with all weights inside.

        Args:
            any_size: also beyond protobuf's limit of 2 GiB, which holds for its serialised form alone.

        Raises:
            ModelError: the weights exceed the limit.
        """
        if self.weight_bytes > _INLINE_LIMIT and not any_size:
            raise ModelError(f"the weights are {self.weight_bytes:,} bytes; this step takes less than 2 GiB")
        proto = ir.to_proto(inside(self.ir.clone()))
        _unstate_weights(proto.graph)
        return proto

    def copy(self) -> Model:
        """A copy to edit, which is no longer what stands in the file; weights are shared, the graph is not."""
        return Model(self.ir.clone())

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a caller must feed: graph inputs without those that are initializers."""
        return tuple(
            tensor_spec(value) for value in self.ir.graph.inputs if value.name not in self.ir.graph.initializers
        )

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the model returns."""
        return tuple(tensor_spec(value) for value in self.ir.graph.outputs)

    @property
    def opset(self) -> int:
        """Version of the standard operator set; 0 if the model uses none of it."""
        return self.ir.opset_imports.get("", self.ir.opset_imports.get("ai.onnx", 0))

    @property
    def ir_version(self) -> int:
        """Version of the file format."""
        return self.ir.ir_version

    @cached_property
    def weight_bytes(self) -> int:
        """Size of all initializers, in bytes."""
        return sum(tensor.nbytes for tensor in all_weights(self.ir))

    @cached_property
    def has_external_data(self) -> bool:
        """Whether weights live in files beside the model."""
        return any(isinstance(tensor, ir.ExternalTensor) for tensor in all_weights(self.ir))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file it was read from; of its serialised form if a stage made it."""
        if self.path is not None:
            return sha256(self.path)
        with tempfile.TemporaryDirectory() as folder:
            return sha256(self.save(Path(folder) / "model.onnx"))

    @cached_property
    def file_bytes(self) -> int:
        """Size of its file with the weights, in bytes; of its serialised form if a stage made it."""
        if self.path is None:
            return self.to_proto().ByteSize() if self.weight_bytes <= _INLINE_LIMIT else self.weight_bytes
        external = sum(t.nbytes for t in all_weights(self.ir) if isinstance(t, ir.ExternalTensor))
        return self.path.stat().st_size + external

    @property
    def record(self) -> dict[str, Any] | None:
        """What edgeonnx wrote into the model about how it was made; None for any other model."""
        text = self.ir.metadata_props.get(_RECORD)
        try:
            return None if text is None else dict(json.loads(text))
        except (ValueError, TypeError):
            return None

    def with_record(self, record: dict[str, Any]) -> Model:
        """A copy that carries `record` in its metadata, where it travels with the file."""
        copy = Model(self.ir.clone())
        copy.ir.metadata_props[_RECORD] = json.dumps(record, sort_keys=True)
        return copy

    def save(self, path: str | Path) -> Path:
        """Write the model, whole or not at all; weights of 2 GiB and more go to `<name>.data` beside it.

        Raises:
            OutputError: the place can't be written.
        """
        path = Path(path)
        if self.weight_bytes > _INLINE_LIMIT:
            return save_beside(self.ir.clone(), path)
        with replacing(path) as temporary:
            temporary.write_bytes(self.to_proto().SerializeToString(deterministic=True))
        return path

    def session(self, options: ort.SessionOptions | None = None) -> ort.InferenceSession:
        """An onnxruntime session on the CPU, with the libraries of custom operators in use: see `edgeonnx.libraries`.

        Raises:
            ModelError: onnxruntime does not accept the model (its own words follow), an operator has no library, or
                onnxruntime-extensions is needed and not installed.
        """
        options = options or session_options()
        register(options, self.ir)
        start = partial(
            ort.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        try:
            if self.path is not None and not self._mended:
                return start(str(self.path))
            if self.weight_bytes <= _INLINE_LIMIT:
                return start(self.to_proto().SerializeToString())
            with tempfile.TemporaryDirectory() as folder:
                return start(str(self.save(Path(folder) / "model.onnx")))
        except Exception as error:  # onnxruntime's exception types are private and many
            name = self.path or "the model"
            if missing := not_registered(self.ir, error):
                raise ModelError(f"{name}: {missing}") from error
            raise ModelError(f"onnxruntime does not accept {name}: {explained(error)}") from error


def session_options(threads: int = 1, optimize: bool = True) -> ort.SessionOptions:
    """Session options for work on this machine: quiet, and one thread so that runs can be compared.

    Args:
        threads: intra-op threads.
        optimize: False leaves the graph as it is written.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _unstate_weights(graph: onnx.GraphProto) -> None:
    """Take out what onnx-ir states of weights' types and shapes, which are written in the weights themselves."""
    weights = {tensor.name for tensor in graph.initializer}
    others = [value for value in graph.value_info if value.name not in weights]
    del graph.value_info[:]
    graph.value_info.extend(others)


def explained(error: BaseException) -> str:
    """First line of an exception's message; then its cause and what mends it, where it is a known one."""
    known = explain(str(error))
    return first_line(error) if known is None else f"{first_line(error)}: {known}"


def _root(error: BaseException) -> BaseException:
    """The innermost cause: onnx-ir wraps an error once for each level of the graph."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def tensor_spec(value: ir.Value) -> TensorSpec:
    """Name, type and shape of a value of a graph."""
    dtype = "unknown"
    if isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
        return TensorSpec(value.name or "", "sequence" if isinstance(value.type, ir.SequenceType) else "optional", None)
    if value.dtype not in (None, ir.DataType.UNDEFINED):
        dtype = "str" if value.dtype == ir.DataType.STRING else value.dtype.numpy().name
    if value.shape is None:
        return TensorSpec(value.name or "", dtype, None)
    shape = tuple(size if isinstance(size, int) else size.value for size in value.shape)
    return TensorSpec(value.name or "", dtype, shape)


def _check_whole(proto: onnx.ModelProto, path: Path) -> None:
    """Protobuf accepts many a foreign or shortened file as a message with fields missing."""
    if not proto.ir_version or not proto.HasField("graph") or not proto.graph.output:
        raise ModelError(f"{path} is not an ONNX model: it has no graph with outputs")
    if not proto.opset_import:
        raise ModelError(f"{path} is cut short: it names no operator set; copy or export it again")
    for value in [*proto.graph.input, *proto.graph.output]:
        if _holds_map(value.type):
            raise ModelError(
                f"{path}: {value.name} is a map, which has no tensor form; export the model without it "
                "(skl2onnx: options={'zipmap': False})"
            )


def _holds_map(kind: onnx.TypeProto) -> bool:
    match kind.WhichOneof("value"):
        case "map_type":
            return True
        case "sequence_type":
            return _holds_map(kind.sequence_type.elem_type)
        case "optional_type":
            return _holds_map(kind.optional_type.elem_type)
    return False


def _check_domains(model: ir.Model, path: Path) -> None:
    """A file cut between two operator sets still parses."""
    used = {node.domain for node in model.graph.all_nodes()}
    known = {"" if domain == "ai.onnx" else domain for domain in model.opset_imports}
    missing = sorted({"" if domain == "ai.onnx" else domain for domain in used} - known)
    if missing:
        name = missing[0] or "ai.onnx"
        raise ModelError(
            f"{path} is cut short or invalid: it uses operators of {name} but names no version of it; "
            "copy or export it again"
        )
