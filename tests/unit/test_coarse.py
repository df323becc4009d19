"""Tensors in which one part hides another."""

import numpy as np
from models import build, noise, weight

from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.coarse import coarse_tensors
from edgeonnx.ranges import Ranges


def coarse(text, weights=None, **ranges):
    found = coarse_tensors(normalize(build(text, **(weights or {}))), Ranges(ranges, 1))
    return {value.name: reason for value, reason in found.items()}


def test_a_mask_hides_the_scores_and_softmax_makes_new_values():
    text = """(float[2,4] s, float[2,4] m) => (float[2,4] y) {
        a = Add(s, m) t = Transpose(a) p = Softmax(t) y = Transpose(p)
    }"""
    found = coarse(text, s=(-5, 5), m=(-10000, 0), a=(-10005, 5), t=(-10005, 5), p=(0, 1), y=(0, 1))
    assert found == dict.fromkeys(["a", "t"], "s takes fewer than 16 of the steps of a")


def test_what_is_of_one_size_hides_nothing():
    text = "(float[2,4] a, float[2,4] b) => (float[2,4] y) { y = Add(a, b) }"
    assert coarse(text, a=(-1, 1), b=(-10, 10), y=(-11, 11)) == {}
    assert list(coarse(text, a=(-1, 1), b=(-20, 20), y=(-21, 21))) == ["y"]


def test_a_product_is_no_join_and_a_constant_has_a_scale_of_its_own():
    text = "(float[2,4] a, float[2,4] b) => (float[2,4] y) { p = Mul(a, b) y = Add(p, w) }"
    assert coarse(text, {"w": noise(4) * np.float32(1e-3)}, a=(0, 1), b=(0, 99), p=(0, 99), y=(0, 99)) == {}


def test_without_ranges_nothing_is_known():
    text = "(float[2,4] a, float[2,4] b) => (float[2,4] y) { h = MatMul(a, w) y = Add(h, b) }"
    assert coarse(text, {"w": weight(4, 4)}) == {}
    assert coarse(text, {"w": weight(4, 4)}, h=(-1, 1), b=(-np.inf, 0), y=(-np.inf, 1)) == {}
