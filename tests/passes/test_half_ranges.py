"""float16 through the verb: what samples show to be beyond its range stays in float32, and is told."""

import numpy as np

from edgeonnx.verbs.optimize import optimize
from tests.passes.test_float16 import in_halves
from tests.unit.models import build


def test_samples_tell_what_overflows():
    model = build("(float[N,4] x) => (float[N,4] y) { h = Mul(x, x) r = Sqrt(h) y = Neg(r) }")
    x = np.full((1, 4), 1000, np.float32)
    made = optimize(model, float16=True, data=[{"x": x}], force=True)
    np.testing.assert_allclose(in_halves(made.model, x), -x, rtol=2e-3)
    assert "2 nodes stay in float32: beyond float16's range, 65504, go h" in made.notes
    blind = optimize(model, float16=True, force=True)
    assert np.isinf(in_halves(blind.model, x)).all()
    assert not any("float32" in note for note in blind.notes)
