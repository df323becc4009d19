"""Stages on threads: order, errors at their place, an early end, back pressure."""

import threading
import time

import pytest

from edgeonnx.runtime._stream import overlapped


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("edgeonnx-stream")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    deadline = time.monotonic() + 5
    while workers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert workers() == []


def double(x):
    return 2 * x


def text(x):
    return str(x)


def test_results_come_in_order():
    assert list(overlapped(range(100), (double, double, text), 2)) == [str(4 * i) for i in range(100)]
    assert list(overlapped([], (double, text), 1)) == []
    assert list(overlapped([1], (double,), 1)) == [2]


def failing_at(place):
    def stage(x):
        if x == place:
            raise KeyError(place)
        return x

    return stage


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_an_error_comes_after_the_results_before_it(stage):
    stages = [lambda x: x] * 3
    stages[stage] = failing_at(7)
    collected = []
    with pytest.raises(KeyError, match="7"):
        for item in overlapped(range(100), stages, 3):
            collected.append(item)  # noqa: PERF402  to see how far it came
    assert collected == list(range(7))


def test_an_error_of_the_source():
    def source():
        yield from range(3)
        raise OSError("unplugged")

    collected = []
    with pytest.raises(OSError, match="unplugged"):
        for item in overlapped(source(), (double,), 2):
            collected.append(item)  # noqa: PERF402
    assert collected == [0, 2, 4]


def test_what_is_no_source():
    with pytest.raises(TypeError, match="not iterable"):
        next(overlapped(3, (double,), 1))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_is_read_than_the_queues_hold(depth):
    read = []

    def source():
        for i in range(1000):
            read.append(i)
            yield i

    stream = overlapped(source(), (double, text), depth)
    assert next(stream) == "0"
    before = -1
    while before != len(read):  # until it stands still
        before = len(read)
        time.sleep(0.1)
    # One result was taken, each queue is full, and each thread holds one.
    assert len(read) <= 1 + 2 * depth + 2
    stream.close()


def test_an_early_end_stops_the_threads():
    stream = overlapped(iter(int, 1), (double, text), 2)
    assert next(stream) == "0"
    assert len(workers()) == 2
    stream.close()
    assert workers() == []
    with pytest.raises(StopIteration):
        next(stream)


def test_leaving_a_loop_stops_the_threads():
    for item in overlapped(iter(int, 1), (double,), 2):
        assert item == 0
        break
    # the generator goes with its last reference


def test_nothing_is_begun_before_it_is_asked_for():
    stream = overlapped(iter(int, 1), (double,), 2)
    assert workers() == []
    stream.close()


def test_a_source_that_waits_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("edgeonnx.runtime._stream._PATIENCE_S", 0.05)
    more = threading.Event()

    def source():
        yield 1
        more.wait()
        yield 2

    stream = overlapped(source(), (double,), 1)
    assert next(stream) == 2
    stream.close()
    assert len(workers()) == 1  # it still waits for its source,
    more.set()  # and ends with it: see the fixture


def test_an_iterator_of_its_own_is_closed_on_its_thread():
    closed = []

    class Source:
        def __iter__(self):
            try:
                yield from range(100)
            finally:
                closed.append(threading.current_thread().name)

    stream = overlapped(Source(), (double,), 1)
    next(stream)
    stream.close()
    assert len(closed) == 1
    assert closed[0].startswith("edgeonnx-stream")


def test_stages_run_at_the_same_time():
    """Two stages that wait for each other: one after the other they would never meet."""
    meet = threading.Barrier(2, timeout=10)

    def first(x):
        if x == 1:
            meet.wait()
        return x

    def second(x):
        if x == 0:
            meet.wait()
        return x

    assert list(overlapped(range(2), (first, second), 1)) == [0, 1]
