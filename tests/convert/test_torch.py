"""PyTorch modules and exported programs, as ONNX, beside PyTorch."""

import zipfile
from contextlib import suppress
from functools import partial

import numpy as np
import pytest

import edgeonnx
from edgeonnx.errors import ConvertError, DifferenceError
from edgeonnx.model import Model
from tests.convert.conftest import framework

torch = framework("torch")
framework("onnxscript")
pytestmark = pytest.mark.slow
nn = torch.nn


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, image, scale):
        features = torch.relu(self.norm(self.conv(image))) * scale
        return {"logits": self.head(features.mean((2, 3))), "features": features}


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.head = nn.Embedding(50, 8), nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)

    def forward(self, x, pad):
        return self.encoder(x, src_key_padding_mask=pad)


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(3))

    def forward(self, x, *more, times: int = 2, mask=None):
        return (x - self.mean) * times + sum(more), x, None, x > 0


class Nested(nn.Module):
    def forward(self, inputs):
        both = inputs["a"] + inputs["b"][0]
        return {"sum": both, "parts": [both * 2, inputs["a"].to(torch.int64)]}


def randn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class Recurrent(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, state):
        output, state = self.layer(x, state)
        return output, state


PAD = torch.tensor([[0] * 6, [0] * 4 + [1] * 2]).bool()
CASES = {
    "pictures": (
        Picture(),
        (randn(1, 3, 16, 16), randn(1)),
        ["image:0=batch,2=height,3=width"],
        ["image: float32[batch,3,height,width]", "scale: float32[1]"],
        ["logits: float32[batch,5]", "features: float32[batch,4,height,width]"],
    ),
    "an LSTM": (
        Tokens(),
        {"tokens": torch.arange(14).reshape(2, 7)},
        ["tokens:0=batch,1=time"],
        ["tokens: int64[batch,time]"],
        ["output: float32[batch,4]"],
    ),
    "an LSTM with its state": (
        Recurrent(nn.LSTM(8, 16, 2, bidirectional=True)),
        (randn(5, 2, 8), (randn(4, 2, 16), randn(4, 2, 16))),
        ["x:0=time,1=batch", "state_0:1=batch", "state_1:1=batch"],
        ["x: float32[time,batch,8]", "state_0: float32[4,batch,16]", "state_1: float32[4,batch,16]"],
        ["output_0: float32[time,batch,32]", "output_1_0: float32[4,batch,16]", "output_1_1: float32[4,batch,16]"],
    ),
    "a GRU without biases": (
        Recurrent(nn.GRU(8, 16, batch_first=True, bias=False)),
        (randn(2, 5, 8), randn(1, 2, 16)),
        ["x:0=batch,1=time", "state:1=batch"],
        ["x: float32[batch,time,8]", "state: float32[1,batch,16]"],
        ["output_0: float32[batch,time,16]", "output_1: float32[1,batch,16]"],
    ),
    "attention with a mask": (
        Attention(),
        (randn(2, 6, 16), PAD),
        ["x:0=batch,1=time", "pad:0=batch,1=time"],
        ["x: float32[batch,time,16]", "pad: bool[batch,time]"],
        ["output: float32[batch,time,16]"],
    ),
    "buffers, more arguments, other outputs": (
        Buffers(),
        (randn(2, 3), randn(2, 3)),
        [],
        ["x: float32[2,3]", "more_0: float32[2,3]"],
        ["output_0: float32[2,3]", "output_1: float32[2,3]", "output_3: bool[2,3]"],
    ),
    "nested arguments": (
        Nested(),
        ({"a": randn(2, 3), "b": [randn(2, 3)]},),
        ["inputs_a:0=n", "inputs_b_0:0=n"],
        ["inputs_a: float32[n,3]", "inputs_b_0: float32[n,3]"],
        ["sum: float32[n,3]", "parts_0: float32[n,3]", "parts_1: int64[n,3]"],
    ),
}


@pytest.mark.parametrize(("module", "examples", "dynamic", "inputs", "outputs"), CASES.values(), ids=CASES)
def test_a_module(module, examples, dynamic, inputs, outputs):
    result = edgeonnx.convert(module, examples, dynamic=dynamic)
    assert [str(one) for one in result.inputs] == inputs
    assert [str(one) for one in result.outputs] == outputs
    assert max(one.relative for one in result.differences) < 1e-5
    assert (result.model.opset, result.model.ir_version) == (18, 8)
    assert result.notes == ("the module was in training mode; it is converted in evaluation mode",)
    assert module.training
    assert all(len(sizes) == 2 for sizes in result.sizes.values())
    assert bool(result.sizes) == bool(dynamic)


def test_nothing_of_this_machine_stays_in_the_model(tmp_path):
    result = edgeonnx.convert(Picture(), (randn(1, 3, 16, 16), randn(1)), output=tmp_path / "m.onnx")
    assert __file__.encode() not in result.output.read_bytes()
    assert b"site-packages" not in result.output.read_bytes()
    assert edgeonnx.inspect(result.output).opset == 18


@pytest.mark.parametrize("opset", [18, 20, 21])
def test_opsets(opset):
    assert edgeonnx.convert(Nested(), CASES["nested arguments"][1], opset=opset).opset == opset


def test_a_file_of_the_users_own(user_file, tmp_path):
    path = user_file("import torch\ndef build():\n    return torch.nn.Linear(4, 3), (torch.ones(2, 4),)\n")
    result = edgeonnx.convert(f"{path}:build", dynamic={"input": {0: "batch"}}, output=tmp_path / "m.onnx")
    assert [str(one) for one in result.inputs] == ["input: float32[batch,4]"]
    data = {"input": np.random.default_rng(0).standard_normal((5, 2, 4), np.float32)}
    assert edgeonnx.convert(f"{path}:build", dynamic=["input:0=batch"], data=data).samples == 7


@pytest.fixture
def program(tmp_path):
    """A saved program whose first axis is free."""
    free = {"image": {0: torch.export.Dim.DYNAMIC}, "scale": None}
    made = torch.export.export(Picture().eval(), (randn(2, 3, 16, 16), randn(1)), dynamic_shapes=free)
    torch.export.save(made, tmp_path / "m.pt2")
    return tmp_path / "m.pt2"


def test_a_program(program):
    result = edgeonnx.convert(program, trust=True, dynamic=["image:0=batch"])
    assert [str(one) for one in result.inputs] == ["image: float32[batch,3,16,16]", "scale: float32[1]"]
    assert [one.output for one in result.differences] == ["logits", "features"]
    assert result.sizes == {"batch": (2, 3)}
    with pytest.raises(ConvertError, match="image:2 is fixed at 16 in the source"):
        edgeonnx.convert(program, trust=True, dynamic=["image:2=height"])


def test_a_program_that_runs_code_is_not_opened_untrusted(program, tmp_path):
    """The reason for --trust: expressions of sizes in the file are evaluated by sympy as Python."""
    evil, mark = tmp_path / "evil.pt2", tmp_path / "mark"
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(evil, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            text = old.read(entry)
            if entry.filename.endswith("models/model.json"):
                code = f"open('{mark}', 'w').close()".encode()
                assert b'"expr_str": "Symbol(' in text
                text = text.replace(b'"expr_str": "Symbol(', b'"expr_str": "' + code + b" or Symbol(")
            new.writestr(entry, text)
    with pytest.raises(ConvertError, match=r"can run code that is hidden in it .* add --trust"):
        edgeonnx.convert(evil)
    assert not mark.exists()
    with suppress(ConvertError):
        edgeonnx.convert(evil, trust=True)
    assert mark.exists(), "torch.export.load evaluates no code any more: --trust is not needed"


class Svd(nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x * 2)[1]


class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Number(nn.Module):
    def forward(self, x):
        return x * 2, 3


class Fixed(nn.Module):
    def forward(self, x):
        return x.reshape(-1, 7)


class Size(nn.Module):
    def forward(self, x):
        return x * 2, x.shape[0]


class Nothing(nn.Module):
    def forward(self, x):
        return None


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x)


REFUSED = {
    "an operator": (Svd(), randn(3, 3), [], r"the operator aten\._linalg_svd \(node _linalg_svd\) has no form in ONNX"),
    "a branch": (Branch(), randn(3), [], r"branches on values that it computes; use torch\.where"),
    "a number": (Number(), randn(3), [], "expected tensors as outputs, got a number at 1"),
    "an axis that can't": (
        Fixed(),
        torch.ones(2, 7),
        ["x:1=time"],
        "x:1 can't be free.* size of 7 alone; where axes of",
    ),
    "an axis of no size": (Svd(), torch.ones(0, 3), ["x:0=n"], "x:0 is to be free, expected at least 1 along it"),
    "a size": (Size(), randn(2, 3), ["x:0=n"], "expected tensors as outputs, got a number at 1"),
    "no outputs": (Nothing(), randn(3), [], "expected tensors as outputs, got none"),
    "a complex output": (Spectrum(), randn(4), [], r"complex numbers at output, .* torch\.view_as_real"),
    "a complex input": (nn.Identity(), torch.ones(2, dtype=torch.complex64), [], "complex numbers at input"),
    "an LSTM with projections": (nn.LSTM(4, 8, proj_size=2), randn(2, 3, 4), [], "proj_size has no form in ONNX"),
    "inputs of another type": (
        nn.Linear(3, 2),
        torch.ones(2, 3).half(),
        [],
        "does not take these inputs: .*same dtype",
    ),
    "a function": (torch.relu, (randn(3),), [], "expected a torch.nn.Module with these example inputs, got a function"),
    "a class": (nn.ReLU, (randn(3),), [], "got the class ReLU; return an instance of it"),
    "weights": (nn.Linear(3, 2).state_dict(), randn(3), [], r"got weights \(a state_dict\); build the module"),
    "a list": ([nn.ReLU(), randn(3)], None, [], "got a list of ReLU, Tensor"),
    "other arguments": (Svd(), {"y": randn(3, 3)}, [], r"don't fit forward\(x\): missing a required argument: 'x'"),
    "no tensors": (Buffers(), {"x": 3}, [], "expected tensors among the example inputs"),
    "TorchScript": (torch.jit.ScriptModule(), randn(3), [], "give the module that it was made from"),
}


@pytest.mark.parametrize(("module", "examples", "dynamic", "said"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_converted(module, examples, dynamic, said):
    with pytest.raises(ConvertError, match=said) as caught:
        edgeonnx.convert(module, examples, dynamic=dynamic)
    assert len(str(caught.value).splitlines()) == 1


def test_an_opset_that_torch_does_not_write():
    with pytest.raises(
        ConvertError, match=r"could not write opset 13, only 18; .*, and lower it: edgeonnx optimize --opset 13"
    ):
        edgeonnx.convert(Picture(), (randn(1, 3, 16, 16), randn(1)), opset=13)


def test_a_model_that_is_random_is_found_out():
    class Random(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    with pytest.raises(DifferenceError, match=r"another output each time .* draws random .* output is up to .* off"):
        edgeonnx.convert(Random(), randn(8))


class Trained(nn.Module):
    """Of batch statistics, whatever mode it is in."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm.train()(x)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


class Undefined(nn.Module):
    def forward(self, x):
        return torch.log(-1 - x.abs())


class Pooled(nn.Module):
    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, (3, 2))


@pytest.mark.parametrize(
    ("module", "examples", "said"),
    [
        (Trained(), randn(6, 4), r"forward puts norm \(BatchNorm1d\) into training mode; leave that out"),
        (Counting(), randn(6), "each time for the same inputs: it draws random numbers, or keeps a state"),
        (
            Undefined(),
            randn(6),
            "output is NaN or infinite throughout in PyTorch .* give inputs for which it is finite",
        ),
    ],
)
def test_a_comparison_that_shows_nothing(module, examples, said):
    with pytest.raises(DifferenceError, match=said):
        edgeonnx.convert(module, examples)


def test_what_is_right_at_one_size_alone():
    with pytest.raises(DifferenceError, match="at w=9, but not at the size of the samples: leave that axis fixed"):
        edgeonnx.convert(Pooled(), randn(1, 3, 8, 8), dynamic=["x:3=w"])


def test_what_says_little_is_noted():
    class Partly(nn.Module):
        def forward(self, x, y):
            return x * 2, torch.ones(3) * 2

    notes = edgeonnx.convert(Partly(), (randn(2, 3), randn(2, 3)), dynamic=["x:0=n"]).notes
    assert notes[1:] == (
        "y: no output depends on it, yet it must be fed; take it out of the source",
        "output_1: the same for all samples, so hardly compared; --data with others says more",
    )


@pytest.mark.parametrize("wrap", [partial(torch.compile, backend="eager"), nn.DataParallel])
def test_a_module_in_another(wrap):
    result = edgeonnx.convert(wrap(Picture()), (np.ones((1, 3, 16, 16), np.float32), np.float32([1])))
    assert [one.name for one in result.inputs] == ["image", "scale"]


def test_an_exported_program_of_the_users_own(user_file):
    path = user_file(
        "import torch\ndef build():\n    return torch.export.export(torch.nn.Linear(4, 3), (torch.ones(2, 4),))\n"
    )
    assert [str(one) for one in edgeonnx.convert(f"{path}:build").inputs] == ["input: float32[2,4]"]


def test_weights_that_are_called_a_program(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "m.pt2")
    with pytest.raises(ConvertError, match=r"expected what torch\.export\.save writes, got weights or TorchScript"):
        edgeonnx.convert(tmp_path / "m.pt2", trust=True)


def test_examples_are_asked_for(user_file):
    path = user_file("import torch\ndef build():\n    return torch.nn.Linear(4, 3)\n")
    with pytest.raises(ConvertError, match="expected example inputs beside the model"):
        edgeonnx.convert(f"{path}:build")


def test_a_converted_model_goes_on_to_quantize(tmp_path):
    result = edgeonnx.convert(Picture(), (randn(1, 3, 16, 16), randn(1)), output=tmp_path / "m.onnx")
    data = {"image": randn(8, 1, 3, 16, 16).numpy(), "scale": np.ones((8, 1), np.float32)}
    quantized = edgeonnx.quantize(result.output, data, target="raspberrypi", recipe="fast", force=True)
    assert quantized.model.record["recipe"] == "fast"
    assert (
        Model.load(edgeonnx.package(result.output, "raspberrypi", tmp_path / "m.edge") and result.output).record is None
    )
