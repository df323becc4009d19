"""The gate: which candidate is kept, and why one may not ship."""

from types import SimpleNamespace

import pytest
from models import build

from edgeonnx.bench.timing import Latency, Paired
from edgeonnx.quantize.placement import Placement
from edgeonnx.verbs.gate import Candidate, choose, problems

MODEL = build("(float[1] x) => (float[1] y) { y = Neg(x) }")
YARDSTICK = SimpleNamespace(metric="top-1", float_score=0.9)


def candidate(name, score, ratio=None, width=0.1):
    latency = Latency(1.0, 1.0, 30)
    speed = None if ratio is None else Paired(latency, latency, ratio, ratio - width, ratio + width)
    return Candidate(name, MODEL, Placement((), {}), score, speed)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([candidate("a", 0.9)], "a"),
        ([candidate("a", 0.9, 1.5), candidate("b", 0.89, 2.0)], "b"),  # the faster of those within
        ([candidate("a", 0.9, 2.0), candidate("b", 0.89, 1.5)], "a"),
        ([candidate("a", 0.7, 3.0), candidate("b", 0.89, 1.5)], "b"),  # the faster one is not within
        ([candidate("a", 0.88, 1.5)], "a"),  # the floor itself is within
        ([candidate("a", 0.9), candidate("b", 0.95)], "a"),  # not timed: the recipe's order
        ([candidate("a", 0.7), candidate("b", 0.8)], "b"),  # none within: the better
        ([candidate("a", 0.7, 3.0), candidate("b", 0.8)], "b"),
        ([candidate("a", 0.9), candidate("b", 0.9, 0.5)], "b"),
    ],
)
def test_choose(candidates, chosen):
    assert choose(candidates, 0.88).scope == chosen


def test_slower_only_where_the_whole_interval_says_so():
    assert candidate("a", 1, 0.8).slower
    assert not candidate("a", 1, 0.95).slower
    assert not candidate("a", 1, 1.2).slower
    assert not candidate("a", 1).slower


def test_problems():
    assert problems(candidate("a", 0.88, 1.5), 0.88, YARDSTICK) == ()
    assert problems(candidate("a", 0.88), 0.88, YARDSTICK) == ()
    (accuracy,) = problems(candidate("a", 0.5, 1.5), 0.88, YARDSTICK)
    assert accuracy == "top-1: expected at least 0.8800 (float 0.9000), got 0.5000; allow more with --max-drop"
    (speed,) = problems(candidate("a", 0.9, 0.5), 0.88, YARDSTICK)
    assert speed == "speed: expected at least 1.00x of float on this machine, got 0.50x"
    assert problems(candidate("a", 0.5, 0.5), 0.88, YARDSTICK) == (accuracy, speed)


def test_a_floor_of_nan_lets_nothing_through():
    assert problems(candidate("a", 0.9), float("nan"), YARDSTICK)
