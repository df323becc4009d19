"""`edgeonnx convert`: what is printed, where files go, and that what is wrong is one line."""

import json

import pytest

from edgeonnx import Model
from tests.cli.models import linear, write_model
from tests.convert.conftest import framework

MODULE = """\
import torch
class Noisy(torch.nn.Module):
    def __init__(self, noise):
        super().__init__()
        self.noise, self.linear = noise, torch.nn.Linear(4, 3)
    def forward(self, x):
        return {"y": self.linear(x) + self.noise * torch.rand_like(x[:, :3])}
def build(): return Noisy(0.0), (torch.rand(1, 4),)
def noisy(): return Noisy(1.0), (torch.rand(1, 4),)
"""


def test_onnx_passes_through(edgeonnx, tmp_path, out):
    given = linear(tmp_path / "m.onnx")
    ran = edgeonnx("convert", given, "-o", out / "m.onnx", "--dynamic", "x:0=batch")
    assert (ran.code, ran.err.startswith("note: it is ONNX already")) == (0, True)
    assert "x: float32[batch,4]" in ran.out
    ran = edgeonnx("convert", given, "-o", out / "n.onnx", "--json")
    found = json.loads(ran.out)
    assert (found["exporter"], found["differences"], found["output"]) == (None, [], str(out / "n.onnx"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("{here}/none.pt2", "none.pt2 does not exist; give a .pt2 program"),
        ("{here}/m.onnx", "m.onnx is the file to read from; write elsewhere with -o"),
        ("{here}/m.onnx -o {out}/m.onnx --opset 20", "is ONNX already, of opset 17"),
        ("{here}/m.onnx -o {out}/m.onnx --dynamic y:0=n", "the model has no input 'y'. Known: x"),
        ("{here}/m.onnx -o {out}/m.onnx --dynamic x:2=n", "x has 2 axes, 0 to 1; got axis 2"),
        ("{here}/m.onnx -o {out}/m.onnx --dynamic x", "expected INPUT:AXIS=NAME, as in image:0=batch,2=height"),
        ("{here}/m.onnx -o {out}/none/m.onnx", "none does not exist; create it"),
        ("{here}/p.pkl -o {out}/m.onnx", "a pickle runs the code that is in it"),
        ("{here}/weights.pth -o {out}/m.onnx", "give FILE.py:FUNC"),
        ("{here}/code.py:raises -o {out}/m.onnx", "line 1, raised ZeroDivisionError: division by zero"),
        ("{here}/invalid.onnx -o {out}/m.onnx", "the model is not valid ONNX: "),
    ],
)
def test_bad_input(edgeonnx, tmp_path, out, words, said):
    linear(tmp_path / "m.onnx")
    write_model(tmp_path / "invalid.onnx", "(float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    broken = Model.load(tmp_path / "invalid.onnx")
    broken.ir.graph.node(0).op_type = "Reluu"
    broken.copy().save(tmp_path / "invalid.onnx")
    for name in ("p.pkl", "weights.pth"):
        (tmp_path / name).write_text("x")
    (tmp_path / "code.py").write_text("def raises(): return 1 / 0\n")
    ran = edgeonnx("convert", *(word.format(here=tmp_path, out=out) for word in words.split()))
    assert said in ran.complains()
    assert list(out.iterdir()) == []


@pytest.mark.slow
def test_a_module_of_the_users_own(edgeonnx, tmp_path, out):
    framework("torch")
    framework("onnxscript")
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    ran = edgeonnx("convert", f"{path}:build", "--dynamic", "x:0=batch", "-o", out / "m.onnx")
    assert ran.code == 0
    assert ran.err == "note: the module was in training mode; it is converted in evaluation mode\n"
    assert "compared on  2 samples; batch 1 and 2" in ran.out
    (row,) = [line.split() for line in ran.out.splitlines() if line.startswith("y ")]
    assert row[-1] == "ok"
    assert "converted from" in edgeonnx("inspect", out / "m.onnx").out


@pytest.mark.slow
def test_a_module_that_differs(edgeonnx, tmp_path, out):
    framework("torch")
    framework("onnxscript")
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    ran = edgeonnx("convert", f"{path}:noisy", "-o", out / "m.onnx")
    assert ran.code == 1
    line = ran.err.splitlines()[-1]
    assert "y is up to" in line
    assert "differs" in ran.out
    assert [file.name for file in out.iterdir()] == ["m.rejected.onnx"]
    ran = edgeonnx("convert", f"{path}:noisy", "-o", out / "m.onnx", "--force")
    assert ran.code == 0
    assert "warning: y is up to" in ran.err
    assert "differs" in ran.out
