"""Large weights of a bundle's variants as entries of their own, each distinct tensor once."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import onnx

from edgeonnx.model import Model

# Smaller tensors stay in the ONNX file: to look them up takes as long as to read them.
_LARGE = 4096
# Smaller models stay whole: they are read at once, and nothing is gained by mapping them.
_WORTH = 1 << 20
# Where tensors begin within an entry; kernels load up to 64 bytes at a time.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Split:
    """Variants with their weights apart.

    Attributes:
        models: name of a variant -> its ONNX file, large weights as external data in `weights/...`.
        used: name of a variant -> the entries that hold them.
        entries: name of an entry -> its bytes.
    """

    models: Mapping[str, bytes]
    used: Mapping[str, tuple[str, ...]]
    entries: Mapping[str, bytes]


def split_weights(models: Mapping[str, Model]) -> Split:
    """Set the large weights of the main graphs apart; an entry holds those that the same variants use.

    Args:
        models: name of a variant -> the model. Where all weights are small, the ONNX files stay whole.

    Raises:
        ModelError: a model does not fit into one protobuf message.
    """
    protos = {name: model.to_proto() for name, model in models.items()}
    large = {name: _large(model) for name, model in models.items()}
    users: dict[str, list[str]] = {}
    contents: dict[str, bytes] = {}
    for name, tensors in large.items():
        for data in tensors.values():
            digest = sha256(data).hexdigest()
            contents[digest] = data
            if name not in users.setdefault(digest, []):
                users[digest].append(name)
    shared = any(len(names) > 1 for names in users.values())
    if not shared and sum(map(len, contents.values())) < _WORTH:
        return Split({n: _bytes(proto) for n, proto in protos.items()}, dict.fromkeys(models, ()), {})
    entries, places = _lay_out(contents, users)
    for name, proto in protos.items():
        for tensor in proto.graph.initializer:
            if tensor.name in large[name]:
                data = large[name][tensor.name]
                _make_external(tensor, *places[sha256(data).hexdigest()], len(data))
    used = {n: tuple(sorted({places[d][0] for d, names in users.items() if n in names})) for n in models}
    return Split({n: _bytes(proto) for n, proto in protos.items()}, used, entries)


def _large(model: Model) -> dict[str, bytes]:
    """The main graph's large tensors of numbers, by name."""
    values = model.ir.graph.initializers.items()
    tensors = {name: value.const_value for name, value in values if value.const_value is not None}
    return {
        name: tensor.tobytes()
        for name, tensor in tensors.items()
        if tensor.nbytes >= _LARGE and tensor.dtype.name != "STRING"
    }


def _lay_out(
    contents: Mapping[str, bytes], users: Mapping[str, list[str]]
) -> tuple[dict[str, bytes], dict[str, tuple[str, int]]]:
    """An entry for each set of users, in the order they are met; and each digest's entry and offset there."""
    blobs: dict[tuple[str, ...], bytearray] = {}
    places: dict[str, tuple[str, int]] = {}
    for digest, data in contents.items():
        blob = blobs.setdefault(tuple(users[digest]), bytearray())
        blob.extend(bytes(-len(blob) % _ALIGNMENT))
        places[digest] = (f"weights/{list(blobs).index(tuple(users[digest]))}.bin", len(blob))
        blob.extend(data)
    return {f"weights/{index}.bin": bytes(blob) for index, blob in enumerate(blobs.values())}, places


def _make_external(tensor: onnx.TensorProto, entry: str, offset: int, length: int) -> None:
    """Replace a tensor's values by where they are: onnx.proto, `TensorProto.external_data`."""
    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(field)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", entry), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _bytes(proto: onnx.ModelProto) -> bytes:
    return bytes(proto.SerializeToString(deterministic=True))
