"""Functions on JAX arrays, as ONNX, beside JAX."""

import numpy as np
import pytest

import edgeonnx
from edgeonnx.errors import ConvertError
from tests.convert.conftest import framework

jax = framework("jax")
framework("jax2onnx")
equinox = framework("equinox")
nnx = framework("flax.nnx")
pytestmark = pytest.mark.slow
jnp = jax.numpy
RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.standard_normal(shape, np.float32)


WEIGHT, KERNEL = noise(4, 3), noise(6, 3, 5)
CELL = equinox.nn.LSTMCell(4, 8, key=jax.random.key(0))


class Picture(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv, self.head = nnx.Conv(3, 8, (3, 3), rngs=rngs), nnx.Linear(8, 5, rngs=rngs)
        self.norm = nnx.BatchNorm(8, use_running_average=True, rngs=rngs)

    def __call__(self, image):
        return nnx.softmax(self.head(nnx.relu(self.norm(self.conv(image))).mean((1, 2))))


def several(x, y):
    return {"sum": x @ WEIGHT + y, "more": (jnp.tanh(y), jnp.argmax(y, -1))}


def recurrent(xs):
    def step(state, x):
        state = CELL(x, state)
        return state, state[0]

    return jax.lax.scan(step, (jnp.zeros(8), jnp.zeros(8)), xs)[1]


def convolved(x):
    return jax.nn.gelu(jax.lax.conv_general_dilated(x, KERNEL, (2,), "SAME"))


CASES = {
    "a function": (several, (noise(2, 4), noise(2, 3)), ["x:0=n", "y:0=n"], ["more_0", "more_1", "sum"]),
    "Flax": (Picture(), {"image": noise(1, 16, 16, 3)}, ["image:0=n"], ["output"]),
    "Equinox": (
        jax.vmap(equinox.nn.MLP(4, 3, 8, 2, key=jax.random.key(0))),
        noise(2, 4),
        ["x:0=n"],
        ["output"],
    ),
    "a scan": (recurrent, noise(9, 4), [], ["output"]),
    "a convolution": (convolved, noise(2, 3, 20), [], ["output"]),
    "64 bits": (lambda x: x * 2, np.arange(6.0).reshape(2, 3), [], ["output"]),
}


@pytest.mark.parametrize(("function", "examples", "dynamic", "outputs"), CASES.values(), ids=CASES)
def test_a_function(function, examples, dynamic, outputs):
    result = edgeonnx.convert(function, examples, dynamic=dynamic)
    assert [one.name for one in result.outputs] == outputs
    assert [f"{one.name}:0=n" for one in result.inputs if one.shape[0] == "n"] == dynamic
    assert max(one.relative for one in result.differences) < 1e-4
    assert (result.opset, result.model.ir_version) == (18, 8)
    assert all(len(sizes) == 2 for sizes in result.sizes.values())


@pytest.mark.parametrize(
    ("function", "examples", "said"),
    [
        (lambda x: jnp.linalg.svd(x)[1], noise(3, 3), "can't be converted: NotImplementedError: svd"),
        (lambda x: x, (noise(2), noise(2)), r"don't fit \(x\): too many positional arguments"),
        (lambda x: x, "text", "expected arrays as example inputs"),
    ],
)
def test_what_can_not_be_converted(function, examples, said):
    with pytest.raises(ConvertError, match=said):
        edgeonnx.convert(function, examples)


def test_a_file_of_the_users_own(user_file):
    path = user_file("import jax, numpy\ndef build():\n    return jax.nn.relu, numpy.ones((2, 3), 'f')\n")
    assert edgeonnx.convert(f"{path}:build", dynamic=["x:0=batch"]).sizes == {"batch": (2, 3)}
