"""`optimize`, as a person types it."""

import json

import numpy as np
import onnx
import pytest

from tests.cli.models import noise, write_model

GRAPH = "(float[N,4] x) => (float[N,3] y) { i = Identity(x) h = MatMul(i, w) b = Add(h, c) y = Relu(b) }"
LOST = """(float[1,2,3,4] q, float[1,2,3,4] k) => (float[1,2,3,4] y) {
    t = Transpose<perm = [0,1,3,2]>(k) p = MatMul(q, t) s = Add(p, m) e = Softmax(s) y = MatMul(e, k)
}"""


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "m.onnx", GRAPH, w=noise(4, 3), c=noise(3))


def test_the_table_says_what_each_pass_did(edgeonnx, model):
    ran = edgeonnx("optimize", model)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["remove_identities", "1", "-1"] in rows
    assert ["matmul_add_to_gemm", "1", "-1"] in rows
    assert ["fold_pads", "nothing", "to", "do", "-"] in rows
    assert ["nodes", "4", "->", "2"] in rows
    assert [node.op_type for node in onnx.load(model.with_suffix(".opt.onnx")).graph.node] == ["Gemm", "Relu"]


def test_as_json(edgeonnx, model, tmp_path):
    found = json.loads(edgeonnx("optimize", model, "-o", tmp_path / "o.onnx", "--json").out)
    assert (found["nodes_before"], found["nodes"]) == (4, 2)
    assert found["output"] == str(tmp_path / "o.onnx")
    assert {"name": "remove_identities", "rewrites": 1, "nodes": -1} in found["changes"]


def test_sizes_and_passes_are_chosen(edgeonnx, model, tmp_path):
    ran = edgeonnx("optimize", model, "--fix-dim", "N=2", "--skip", "matmul_add_to_gemm", "-o", tmp_path / "o.onnx")
    assert ran.code == 0
    made = onnx.load(tmp_path / "o.onnx").graph
    assert [dim.dim_value for dim in made.input[0].type.tensor_type.shape.dim] == [2, 4]
    assert [node.op_type for node in made.node] == ["MatMul", "Add", "Relu"]


def test_a_pass_that_makes_it_differ(edgeonnx, tmp_path):
    path = write_model(tmp_path / "m.onnx", LOST, m=np.full((3, 3), -np.inf, np.float32))
    ran = edgeonnx("optimize", path, "--opset", "23", "-o", tmp_path / "o.onnx")
    assert ran.code == 0
    assert ran.err.startswith("Warning: left out, since outputs would differ: fuse_attention;")
    assert "fuse_attention" not in ran.out


def test_a_result_that_differs(edgeonnx, tmp_path):
    text = "(float[2,8] x) => (float[2,8] y) { a = Mul(x, k) y = Sub(a, x) }"
    path = write_model(tmp_path / "m.onnx", text, k=np.full(8, 1.0002, np.float32))
    ran = edgeonnx("optimize", path, "--float16", "-o", tmp_path / "o.onnx")
    assert ran.code == 1
    assert "--skip float16" in ran.err.splitlines()[-1]
    assert "float16" in ran.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "o.rejected.onnx"]
    assert edgeonnx("optimize", path, "--float16", "-o", tmp_path / "o.onnx", "--force").code == 0
    assert (tmp_path / "o.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fix-dim", "M=2"], "no dimension M; free ones of the inputs: N"),
        (["--skip", "magic"], "pass 'magic': expected one of"),
        (["--target", "toaster"], "target 'toaster': no such target"),
        (["--data", "none.npz"], "none.npz"),
        (["-o", "{model}"], "is the file to read from"),
    ],
)
def test_bad_input(edgeonnx, model, words, said):
    before = sorted(model.parent.iterdir())
    assert said in edgeonnx("optimize", model, *(word.format(model=model) for word in words)).complains()
    assert sorted(model.parent.iterdir()) == before


def test_a_size_that_is_none(edgeonnx, model):
    ran = edgeonnx("optimize", model, "--fix-dim", "N=many")
    assert (ran.code, "expected NAME=SIZE such as batch=1, got 'N=many'" in ran.err) == (2, True)
