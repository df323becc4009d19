"""Several sessions, several threads, several samples; and the end of a model."""

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from onnx import TensorProto, helper
from runtime_bundles import identity_model, model, write_bundle

from edgeonnx.runtime import Classification, DeviceError, InputError, load


def feed(value, rows=1):
    return {"a": np.full((rows, 3), value, np.float32), "b": np.ones((rows, 3), np.float32)}


def slow_model(turns=20000):
    """y = x @ w, again and again: some milliseconds, in which the caller's other threads run."""
    x, y = (("x", TensorProto.FLOAT, ["n", 64]), ("y", TensorProto.FLOAT, ["n", 64]))
    body = helper.make_graph(
        [helper.make_node("MatMul", ["v", "w"], ["v2"]), helper.make_node("Identity", ["go"], ["go2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)
    weights = {"w": np.eye(64, dtype=np.float32), "turns": np.array(turns, np.int64)}
    return model([loop], [x], [y], weights)


@pytest.fixture
def slow(tmp_path):
    with load(write_bundle(tmp_path / "slow.edge", slow_model()), sessions=2) as opened:
        yield opened


@pytest.mark.parametrize("sessions", [1, 3])
def test_eight_threads_at_once(add_bundle, sessions):
    opened = load(add_bundle, sessions=sessions)

    def work(value):
        return all((opened.run(feed(value))["total"] == value + 1).all() for _ in range(200))

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(8)))
    assert opened.stats().calls == 1600
    assert opened.sessions == sessions


def test_a_future_for_each_run(add_bundle):
    opened = load(add_bundle, sessions=2)
    futures = [opened.run_async(feed(value)) for value in range(50)]
    assert [int(future.result()["total"][0, 0]) for future in futures] == list(range(1, 51))
    wrong = opened.run_async({"a": feed(1)["a"]})
    with pytest.raises(InputError, match="expected the inputs a, b; got a"):
        wrong.result()
    opened.close()


def test_a_full_queue_blocks_and_says_so(add_bundle):
    opened = load(add_bundle)
    gate = threading.Event()
    held = [opened._pool.submit(gate.wait, 3, None) for _ in range(3)]
    with pytest.raises(DeviceError, match=r"test: 3 calls were waiting or running for 0\.01 s; .* more sessions"):
        opened.run_async(feed(1), queue=3, timeout=0.01)
    waiting = ThreadPoolExecutor(1).submit(opened.run_async, feed(1), queue=3)
    assert not waiting.done()
    gate.set()
    assert (waiting.result(10).result(10)["total"] == 2).all()
    assert all(future.result() for future in held)
    with pytest.raises(InputError, match="queue: expected 1 or more, got 0"):
        opened.run_async(feed(1), queue=0)
    opened.close()


def test_sessions_divide_the_threads(add_bundle):
    opened = load(add_bundle, sessions=2)
    options = opened.session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    with pytest.raises(InputError, match="sessions: expected 1 or more, got 0"):
        load(add_bundle, sessions=0)


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_closed_model_says_so(add_bundle, sessions):
    with load(add_bundle, sessions=sessions) as opened:
        opened.run(feed(1))
    for call in (
        lambda: opened.run(feed(1)),
        lambda: opened.session,
        lambda: opened.run_async(feed(1)),
        lambda: opened.batch([feed(1)] * 2),
        opened.warmup,
    ):
        with pytest.raises(InputError, match="test is closed; load it again"):
            call()
    opened.close()  # once more does no harm
    assert opened.stats().calls == 1


def test_close_waits_for_what_runs_and_cancels_what_does_not(slow):
    x = {"x": np.ones((1, 64), np.float32)}
    futures = [slow.run_async(x) for _ in range(10)]
    slow.close()
    assert all(future.done() for future in futures)
    outcomes = []
    for future in futures:
        try:
            outcomes.append(future.result()["y"].shape)
        except (CancelledError, InputError) as error:
            outcomes.append(type(error))
    assert CancelledError in outcomes
    assert set(outcomes) <= {(1, 64), CancelledError, InputError}


def test_close_lets_go_of_those_who_wait_for_a_session(slow):
    x = {"x": np.ones((1, 64), np.float32)}
    ended = []

    def work():
        try:
            while True:
                slow.run(x)
        except InputError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    slow.close()
    for thread in threads:
        thread.join(20)
    assert ended == ["test is closed; load it again"] * 6


def test_no_thread_outlives_the_model(add_bundle):
    def named():
        return [thread for thread in threading.enumerate() if thread.name.startswith("edgeonnx")]

    with load(add_bundle, sessions=2) as opened:
        list(opened.stream([feed(i) for i in range(20)]))
        assert named()
    assert named() == []


@pytest.mark.parametrize("sessions", [1, 2])
def test_stream_gives_results_in_order(add_bundle, sessions):
    with load(add_bundle, sessions=sessions) as opened:
        totals = [int(result["total"][0, 0]) for result in opened.stream((feed(i) for i in range(100)), depth=1)]
        assert totals == list(range(1, 101))
        assert list(opened.stream([])) == []
        with pytest.raises(InputError, match="depth: expected 1 or more, got 0"):
            opened.stream([], depth=0)


@pytest.mark.parametrize("sessions", [1, 2])
def test_stream_raises_at_the_sample_that_fails(add_bundle, sessions):
    samples = [feed(i) for i in range(10)]
    samples[4] = {"a": feed(4)["a"], "b": np.full((1, 3), np.nan, np.float32)}
    seen = []
    with load(add_bundle, sessions=sessions) as opened:
        with pytest.raises(InputError, match="input b: expected finite numbers"):
            for result in opened.stream(samples):
                seen.append(int(result["total"][0, 0]))  # noqa: PERF401
        assert seen == [1, 2, 3, 4]
        opened.run(feed(1))  # goes on


def test_stream_reads_files_and_gives_typed_results(fashion, picture):
    opened = load(fashion)
    results = list(opened.stream([picture, str(picture)]))
    assert all(isinstance(result, Classification) for result in results)
    assert results[0].score == opened(picture).score
    assert opened.stats().reading.runs == 3
    with pytest.raises(InputError, match="No such file"):
        list(opened.stream([picture, "none.png"]))


def test_a_batch_is_one_run(add_bundle):
    opened = load(add_bundle)
    results = opened.batch([feed(i) for i in range(5)])
    assert [result["total"].tolist() for result in results] == [[[i + 1.0] * 3] for i in range(5)]
    assert opened.stats().batches == {1: 2, 8: 1}  # 2 alone, to see that it comes out the same
    opened.batch([feed(i) for i in range(5)])
    assert opened.stats().batches == {1: 2, 8: 2}
    assert opened.batch([]) == []
    assert len(opened.batch([feed(1)])) == 1


def test_samples_of_several_rows_are_run_one_by_one(add_bundle):
    opened = load(add_bundle)
    results = opened.batch([feed(1, rows=2), feed(2, rows=3)])
    assert [len(result["total"]) for result in results] == [2, 3]
    assert opened.stats().calls == 2


def mixing_model():
    """Its first axis looks like a batch and is none: y is the sum so far."""
    value = (TensorProto.FLOAT, ["n", 3])
    node = helper.make_node("CumSum", ["x", "axis"], ["y"])
    return model([node], [("x", *value)], [("y", *value)], {"axis": np.array(0, np.int64)})


def test_a_model_that_mixes_its_rows_is_not_stacked(tmp_path):
    opened = load(write_bundle(tmp_path / "a.edge", mixing_model()))
    samples = [np.full((1, 3), i, np.float32) for i in range(4)]
    for _ in range(2):
        assert [result["y"][0, 0] for result in opened.batch(samples)] == [0, 1, 2, 3]
    assert opened.stats().calls == 1 + 2 + 4 + 4  # the attempt, what it is compared with, and one by one


def test_outputs_that_are_not_one_a_sample_are_not_split(tmp_path):
    value = ("x", TensorProto.FLOAT, ["n", 3])
    proto = model(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=1)],
        [value],
        [("y", TensorProto.FLOAT, ["m", 3])],
    )
    opened = load(write_bundle(tmp_path / "a.edge", proto))
    assert [result["y"][0, 0] for result in opened.batch([np.full((1, 3), i, np.float32) for i in range(4)])] == [
        *range(4)
    ]


def test_a_fixed_shape_is_spread_over_the_sessions(tmp_path):
    path = write_bundle(tmp_path / "a.edge", identity_model(TensorProto.FLOAT, [2]))
    with load(path, sessions=2) as opened:
        results = opened.batch([np.full(2, i, np.float32) for i in range(9)])
    assert [int(result["y"][0]) for result in results] == list(range(9))


def test_warmup_without_golden_samples_takes_zeros(tmp_path):
    proto = identity_model(TensorProto.STRING, ["n", 2])
    load(write_bundle(tmp_path / "a.edge", proto)).warmup(1)
