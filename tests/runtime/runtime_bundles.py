"""Bundles for the runtime's tests, written straight from docs/bundle.md and not with the SDK's packager."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgeonnx.runtime._bundle import BUNDLE_MAIN, runtime_files

DTYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
    TensorProto.INT16: "int16",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
    TensorProto.STRING: "str",
    TensorProto.FLOAT16: "float16",
}


def model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any] | None = None
) -> onnx.ModelProto:
    """A model of opset 17; inputs and outputs as (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return proto


def add_model() -> onnx.ModelProto:
    """total = a + b, of shape [batch, 3]."""
    value = (TensorProto.FLOAT, ["batch", 3])
    return model([helper.make_node("Add", ["a", "b"], ["total"])], [("a", *value), ("b", *value)], [("total", *value)])


def identity_model(kind: int, shape: list[Any]) -> onnx.ModelProto:
    """y = x."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)])


def kinds_model() -> onnx.ModelProto:
    """An input of strings, one of booleans, one of int64, and a scalar, each handed through."""
    kinds = [
        ("words", TensorProto.STRING, ["n"]),
        ("flags", TensorProto.BOOL, [2]),
        ("ids", TensorProto.INT64, [1, "n"]),
    ]
    kinds.append(("scale", TensorProto.FLOAT, []))
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in kinds]
    return model(nodes, kinds, [(f"{name}_out", kind, shape) for name, kind, shape in kinds])


def picture_model(channels: int = 1, height: int | str = "height", width: int | str = "width") -> onnx.ModelProto:
    """An INT8 Conv (QDQ) on an H x W x C uint8 picture, and the mean of its 3 channels as logits [1, 3]."""
    rng = np.random.default_rng(0)
    weights = {
        "scale": np.float32(1 / 255),
        "zero": np.uint8(0),
        "weight": rng.integers(-90, 90, (3, channels, 3, 3)).astype(np.int8),
        "weight_scale": np.full(3, 0.01, np.float32),
        "weight_zero": np.zeros(3, np.int8),
        "axis": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["input"], ["chw"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["chw", "axis"], ["nchw"]),
        helper.make_node("DequantizeLinear", ["nchw", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["features"], ["logits"], axes=[2, 3], keepdims=0),
    ]
    image = ("input", TensorProto.UINT8, [height, width, channels])
    return model(nodes, [image], [("logits", TensorProto.FLOAT, [1, 3])], weights)


def golden_outputs(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    array = np.asarray(array)
    np.save(file, array.astype(str) if array.dtype == object else array, allow_pickle=False)
    return file.getvalue()


def specs(values: Any) -> list[dict[str, Any]]:
    found = []
    for value in values:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        found.append({"name": value.name, "dtype": DTYPES[tensor.elem_type], "shape": shape})
    return found


def variant_of(proto: onnx.ModelProto, name: str = "float32", file: str = "model.onnx") -> dict[str, Any]:
    """A variant that any CPU may choose, exact in every output."""
    return {
        "name": name,
        "file": file,
        "precision": "float32",
        "opset": 17,
        "ir_version": 8,
        "minimum": "1.19",
        "features": [],
        "graph_optimization": "all",
        "tolerance": {value.name: {"atol": 0.0, "rtol": 0.0} for value in proto.graph.output},
        "weights": [],
    }


def manifest_of(proto: onnx.ModelProto, entries: dict[str, bytes], samples: int) -> dict[str, Any]:
    return {
        "schema": 2,
        "name": "test",
        "version": "1",
        "target": "desktop",
        "created_with": {"edgeonnx": "0.1.0"},
        "onnxruntime": {"minimum": "1.18", "tested": ort.__version__},
        "extensions": None,
        "variants": [variant_of(proto)],
        "inputs": specs(proto.graph.input),
        "outputs": specs(proto.graph.output),
        "result": None,
        "stream": None,
        "pipeline": None,
        "health": None,
        "session": {
            "providers": [{"name": "CPUExecutionProvider", "options": {}}],
            "intra_op_threads": 1,
            "inter_op_threads": 1,
            "memory": "fast",
            "config": {"session.intra_op.allow_spinning": "0"},
        },
        "golden": {"samples": samples, "origin": "generated"},
        "provenance": None,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in entries.items()
        },
    }


def write_bundle(
    path: Path,
    proto: onnx.ModelProto,
    samples: list[dict[str, Any]] = [],  # noqa: B006  never altered
    *,
    labels: list[str] | None = None,
    media: dict[str, Any] | None = None,
    runtime: bool = False,
    change: Any = None,
) -> Path:
    """Write a bundle; `change(manifest, entries)` may alter the manifest and the entries in place before that."""
    entries: dict[str, bytes] = {}
    if runtime:
        entries["__main__.py"] = BUNDLE_MAIN.encode()
        entries.update({f"edgeonnx_runtime/{name}": data for name, data in runtime_files().items()})
    entries["model.onnx"] = proto.SerializeToString()
    if labels:
        entries["labels.txt"] = ("\n".join(labels) + "\n").encode()
    names = [value.name for value in proto.graph.input]
    for i, inputs in enumerate(samples):
        entries.update({f"golden/{i}/input{j}.npy": npy(inputs[name]) for j, name in enumerate(names)})
        outputs = golden_outputs(proto, inputs)
        entries.update({f"golden/{i}/float32/output{j}.npy": npy(output) for j, output in enumerate(outputs)})
    manifest = manifest_of(proto, entries, len(samples))
    if labels:
        output = proto.graph.output[0].name
        manifest["result"] = {
            "type": "classification",
            "outputs": {"scores": output},
            "labels": "labels.txt",
            "top_k": 2,
        }
    if media:
        manifest["inputs"][0]["media"] = media
    if change:
        change(manifest, entries)
    write_zip(path, {"manifest.json": dump(manifest), **entries})
    return path


def dump(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def write_zip(
    path: Path, entries: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED
) -> None:
    pairs = list(entries.items()) if isinstance(entries, dict) else entries
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in pairs:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, data)
