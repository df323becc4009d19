"""Two things timed in turns. Only what sleeping makes certain is asserted: a longer sleep takes longer."""

import time

import numpy as np

from edgeonnx.bench.timing import Latency, paired, single


def test_half_the_sleep_is_about_half_the_time():
    result = paired(lambda: time.sleep(0.001), lambda: time.sleep(0.003), seconds=0, runs=30)
    assert result.ratio < 0.8
    assert result.low <= result.ratio <= result.high < 1
    assert result.first.runs == result.second.runs == 30
    assert 1000 <= result.first.median <= result.first.p95
    assert result.second.median >= 3000


def test_the_same_against_itself_is_not_told_apart_by_order():
    calls = []
    result = paired(lambda: calls.append("a"), lambda: calls.append("b"), seconds=0, runs=50)
    turns = ["".join(calls[i : i + 2]) for i in range(6, len(calls), 2)]  # after three calls of each to warm up
    assert calls[:6] == [*"aaabbb"]
    assert turns == ["ab", "ba"] * 25
    assert result.low <= result.ratio <= result.high


def test_it_goes_on_as_long_as_it_was_told():
    start = time.perf_counter()
    result = single(lambda: time.sleep(0.001), seconds=0.05, runs=1)
    assert time.perf_counter() - start >= 0.05
    assert result.runs > 1
    assert single(lambda: None, seconds=0, runs=7).runs == 7


def test_a_summary_in_microseconds():
    summary = Latency.of(np.arange(1, 101) * 1e-6)
    assert (round(summary.median, 6), round(summary.p95, 6), summary.runs) == (50.5, 95.05, 100)
