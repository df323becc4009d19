"""Embeddings: pooled over tokens as sentence-transformers does, cut, brought to length 1."""

import numpy as np
import pytest
from models import build, noise, run

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.graph import join, needed_opset, postprocessing
from edgeonnx.pipeline.outputs.embedding import EmbeddingOutput
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import Result

TOKENS = "(float[1,T,6] x) => (float[1,T,6] h) { h = Identity(x) }"
MASK = np.array([[1, 1, 1, 0, 0]])


def spec(**output):
    return PipelineSpec.model_validate({"output": {"type": "embedding", **output}})


def masked(values, mask=MASK, dtype="float", **output):
    """The part alone, given a mask as a text's preprocessing would."""
    import onnx_ir as ir

    from edgeonnx.model import Model, TensorSpec

    def value(name, array):
        kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        return ir.Value(name=name, type=kind, shape=ir.Shape(array.shape))

    part, write = EmbeddingOutput(**output), Builder("p")
    hidden, note = value("h", values), value("m", mask)
    part.check({"h": TensorSpec("h", str(values.dtype), values.shape)}, ["text.mask"])
    results = part.build({"h": hidden}, {"text.mask": note}, write)
    graph = ir.Graph([hidden, note], results, nodes=write.nodes, opset_imports={"": 21})
    return run(Model(ir.Model(graph, ir_version=10)), {"h": values, "m": mask})["vector"]


def mean(values, mask):
    """Mean pooling of sentence-transformers, in double precision."""
    weights = mask[..., None].astype(np.float64)
    return (values * weights).sum(1) / np.maximum(weights.sum(1), 1e-9)


def unit(values):
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_mean_of_what_is_no_padding(scale):
    values = noise(1, 5, 6, scale=scale)
    got = masked(values)
    np.testing.assert_allclose(got, unit(mean(values.astype(np.float64), MASK)), atol=1e-6)
    plain = masked(values, normalize=False)
    np.testing.assert_allclose(plain, mean(values.astype(np.float64), MASK), rtol=1e-5, atol=1e-6 * scale)
    assert got.dtype == np.float32


def test_nothing_but_padding_and_zeros():
    assert not masked(noise(1, 5, 6), mask=np.zeros((1, 5), np.int64)).any()
    assert not masked(np.zeros((1, 5, 6), np.float32)).any()


def test_first_and_last_token():
    values = noise(1, 5, 6)
    np.testing.assert_array_equal(masked(values, pooling="cls", normalize=False), values[:, 0])
    np.testing.assert_array_equal(masked(values, pooling="last", normalize=False), values[:, 2])


def test_cut_before_its_length_is_taken():
    values = noise(1, 5, 6)
    got = masked(values, dimensions=4)
    np.testing.assert_allclose(got, unit(mean(values, MASK)[:, :4]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(got), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats(dtype):
    values = noise(1, 5, 6).astype(dtype)
    np.testing.assert_allclose(masked(values), unit(mean(values.astype(np.float64), MASK)), atol=1e-6)


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_without_a_text_all_tokens_count(opset):
    model = build(TOKENS, opset=opset, ir_version=10)
    values = noise(1, 4, 6)
    assert needed_opset(model, spec()) <= 13
    for pooling, expected in (("mean", values.mean(1)), ("cls", values[:, 0]), ("last", values[:, -1])):
        got = run(join(model, spec(pooling=pooling)), {"x": values})
        np.testing.assert_allclose(got["vector"], unit(expected), atol=1e-6)
    assert list(got) == ["vector"]


def test_joined_equals_apart_and_says_its_shape():
    model, values = build(TOKENS), noise(1, 4, 6)
    joined = join(model, spec(dimensions=3))
    assert [str(tensor) for tensor in joined.outputs] == ["vector: float32[1,3]"]
    apart = run(postprocessing(model, spec(dimensions=3)), {"h": run(model, {"x": values})["h"]})
    np.testing.assert_array_equal(run(joined, {"x": values})["vector"], apart["vector"])
    assert spec().output.result(model.outputs) == Result("embedding", {"vector": "vector"})


@pytest.mark.parametrize("shape", ["1,6", "6", "1,6,1,1", "N,6"])
def test_a_model_that_gives_one_vector(shape):
    model = build(f"(float[{shape}] x) => (float[{shape}] y) {{ y = Neg(x) }}")
    joined = join(model, spec(pooling="none"))
    assert joined.outputs[0].shape == (1, 6)
    values = noise(*[int(size) if size != "N" else 1 for size in shape.split(",")])
    np.testing.assert_allclose(run(joined, {"x": values})["vector"], unit(-values.reshape(1, 6)), atol=1e-6)


def test_tokens_without_a_batch():
    model, values = build("(float[T,6] x) => (float[T,6] y) { y = Neg(x) }"), noise(3, 6)
    np.testing.assert_allclose(
        run(join(model, spec()), {"x": values})["vector"], unit(-values.mean(0))[None], atol=1e-6
    )


MISFITS = [
    ("(float[1,2,3,4] x) => (float[1,2,3,4] y) { y = Neg(x) }", {}, r"= mean: expected \[1, tokens, dimensions\]"),
    ("(int64[1,2,3] x) => (int64[1,2,3] y) { y = Neg(x) }", {}, "expected floats, the model has y: int64"),
    ("(float[2,2,3] x) => (float[2,2,3] y) { y = Neg(x) }", {}, "samples come one at a time"),
    (TOKENS, {"dimensions": 7}, r"output.dimensions: expected at most 6, got 7"),
    (TOKENS, {"of": "text"}, "output.of: expected the name of a text, got 'text'"),
    (TOKENS, {"vectors": "z"}, "output.vectors: expected one of h, got 'z'"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "output", "match"), MISFITS, ids=range(len(MISFITS)))
def test_what_does_not_fit(model, output, match):
    with pytest.raises(PipelineError, match=match):
        join(build(model), spec(**output))
