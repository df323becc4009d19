import threading

import numpy as np
import pytest
from onnx import TensorProto
from runtime_bundles import identity_model, write_bundle

from edgeonnx.runtime import InputError, load
from edgeonnx.runtime._stats import Recorder


def test_nothing_yet():
    stats = Recorder().stats(0.5)
    assert (stats.calls, stats.errors, stats.load_s, dict(stats.batches)) == (0, 0, 0.5, {})
    assert stats.inference == (0, 0, 0, 0)


def test_median_and_p95_are_of_the_last_calls():
    recorder = Recorder()
    for _ in range(512):
        recorder.ran(1.0, 0)
    for i in range(1, 101):
        recorder.ran(i * 1e-6, 0)
    timing = recorder.stats(0).inference
    assert timing.runs == 612
    assert timing.total_s == pytest.approx(512 + 5050e-6)
    assert timing.median_us == 1e6  # 412 of the last 512
    for _ in range(5):
        for i in range(1, 101):
            recorder.ran(i * 1e-6, 0)
    timing = recorder.stats(0).inference
    assert timing.median_us == pytest.approx(50, abs=3)
    assert timing.p95_us == pytest.approx(95, abs=3)


def test_batch_sizes_are_counted_by_powers_of_two():
    recorder = Recorder()
    for samples in (0, 1, 1, 2, 3, 4, 5, 8, 100):
        recorder.ran(1e-6, samples)
    assert recorder.stats(0).batches == {1: 2, 2: 1, 4: 2, 8: 2, 128: 1}


def test_memory_does_not_grow():
    recorder = Recorder()

    def size():
        return (len(recorder._inference.last), len(recorder._batches))

    before = size()
    for i in range(5000):
        recorder.ran(i, i)
    assert size() == before


def test_no_count_is_lost_among_threads():
    recorder = Recorder()

    def work():
        for _ in range(2000):
            recorder.ran(1e-6, 1)
            recorder.read(1e-6)
            recorder.failed()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = recorder.stats(0)
    assert (stats.calls, stats.errors, stats.reading.runs, stats.batches) == (16000, 16000, 16000, {1: 16000})


def test_a_model_counts(add_bundle, tmp_path):
    model = load(add_bundle)
    x = np.ones((3, 3), np.float32)
    model.run({"a": x, "b": x})
    np.save(tmp_path / "a.npy", x)
    model(a=tmp_path / "a.npy", b=x)
    for wrong in ({"a": x}, {"a": x, "b": x[:, :2]}, {"a": x, "b": x[:2]}):
        with pytest.raises(InputError):
            model.run(wrong)
    stats = model.stats()
    assert (stats.calls, stats.errors, stats.reading.runs, stats.batches) == (2, 3, 1, {4: 2})
    assert stats.load_s == model.load_seconds
    assert 0 < stats.inference.median_us <= stats.inference.p95_us
    model.warmup()
    assert model.stats() == stats


def test_a_model_without_batches_counts_none(tmp_path):
    model = load(write_bundle(tmp_path / "a.edge", identity_model(TensorProto.FLOAT, ["n"])))
    model(np.zeros(5, np.float32))
    assert model.stats().batches == {}


def test_a_recorder_forgets():
    recorder = Recorder()
    recorder.ran(1, 1)
    recorder.reset()
    assert recorder.stats(0).calls == 0
