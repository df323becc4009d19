"""all-MiniLM-L6-v2 as ONNX, built from its weights: what an export of the PyTorch model gives, without PyTorch.

BERT (Devlin et al., 2018): token, position and type embeddings; per layer self-attention and a feed-forward part with
GELU, each followed by a residual sum and layer normalization. Output: `last_hidden_state`, float32 (N, S, 384).
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Float32 tensors of a file: eight bytes of header length, a header of JSON, the data."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    spans = {name: (entry, entry["data_offsets"]) for name, entry in header.items() if entry.get("dtype") == "F32"}
    return {
        name: np.frombuffer(data[start + low : start + high], np.float32).reshape(entry["shape"])
        for name, (entry, (low, high)) in spans.items()
    }


class Builder:
    """Collects nodes; each method returns the name of its output."""

    def __init__(self, weights: dict[str, np.ndarray], heads: int) -> None:
        self._weights, self._heads = weights, heads
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers[name] = value
        return name

    def weight(self, name: str, transpose: bool = False) -> str:
        array = self._weights[name]
        return self.constant(name, np.ascontiguousarray(array.T) if transpose else array)

    def linear(self, x: str, name: str) -> str:
        product = self.op("MatMul", x, self.weight(f"{name}.weight", transpose=True))
        return self.op("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def split_heads(self, x: str) -> str:
        """(N, S, width) -> (N, heads, S, width / heads)."""
        shape = self.constant("split", np.array([0, 0, self._heads, -1]))
        return self.op("Transpose", self.op("Reshape", x, shape), perm=[0, 2, 1, 3])

    def attention(self, x: str, mask: str, layer: str) -> str:
        query, key, value = (
            self.split_heads(self.linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        width = self._weights[f"{layer}.attention.self.query.bias"].size // self._heads
        root = self.constant("root", np.float32(np.sqrt(width)))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        shares = self.op("Softmax", self.op("Add", self.op("Div", scores, root), mask), axis=-1)
        context = self.op("Transpose", self.op("MatMul", shares, value), perm=[0, 2, 1, 3])
        merged = self.op("Reshape", context, self.constant("merge", np.array([0, 0, -1])))
        return self.linear(merged, f"{layer}.attention.output.dense")

    def feed_forward(self, x: str, layer: str) -> str:
        wide = self.linear(x, f"{layer}.intermediate.dense")
        tail = self.op("Erf", self.op("Div", wide, self.constant("root_two", np.float32(np.sqrt(2)))))
        tail = self.op("Add", tail, self.constant("one", np.float32(1)))
        gelu = self.op("Mul", self.op("Mul", wide, tail), self.constant("half", np.float32(0.5)))
        return self.linear(gelu, f"{layer}.output.dense")

    def embeddings(self) -> str:
        """Sum of the three tables' rows, normalized."""
        tables = {
            kind: self.weight(f"embeddings.{kind}_embeddings.weight") for kind in ("word", "position", "token_type")
        }
        longest = len(self._weights["embeddings.position_embeddings.weight"])
        places = self.constant("position_ids", np.arange(longest)[None])
        length = self.op("Shape", "input_ids", start=1, end=2)
        zero, one = self.constant("zero", np.array([0])), self.constant("axis_one", np.array([1]))
        rows = {"word": "input_ids", "token_type": "token_type_ids"}
        rows["position"] = self.op("Slice", places, zero, length, one)
        word, token_type, position = (self.op("Gather", tables[kind], row) for kind, row in rows.items())
        return self.norm(self.op("Add", self.op("Add", word, token_type), position), "embeddings.LayerNorm")

    def mask(self) -> str:
        """0 where the attention mask is 1, very low where it is 0: shape (N, 1, 1, S)."""
        axes = self.constant("mask_axes", np.array([1, 2]))
        kept = self.op("Cast", self.op("Unsqueeze", "attention_mask", axes), to=TensorProto.FLOAT)
        lost = self.op("Sub", self.constant("full", np.float32(1)), kept)
        return self.op("Mul", lost, self.constant("low", np.float32(-10000)))


def build(folder: Path) -> onnx.ModelProto:
    """The model from a folder that holds `config.json` and `model.safetensors`."""
    config = json.loads((folder / "config.json").read_text())
    builder = Builder(read_safetensors(folder / "model.safetensors"), config["num_attention_heads"])
    x, mask = builder.embeddings(), builder.mask()
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        x = builder.norm(builder.op("Add", builder.attention(x, mask, layer), x), f"{layer}.attention.output.LayerNorm")
        x = builder.norm(builder.op("Add", builder.feed_forward(x, layer), x), f"{layer}.output.LayerNorm")
    builder.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"], "output"))
    graph = helper.make_graph(
        builder.nodes,
        "minilm",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "S"]) for name in INPUTS],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["N", "S", config["hidden_size"]])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in builder.initializers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
