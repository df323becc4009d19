"""What was calibrated once is not calibrated again; what was broken off goes on, to the same ranges to the bit."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from models import build, convnet, noise

from edgeonnx.calibration.cache import Entry, Snapshot, open_entry
from edgeonnx.calibration.health import DataHealth
from edgeonnx.calibration.methods import METHODS, make_observer
from edgeonnx.calibration.stream import calibrate
from edgeonnx.files import cache_folder
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize

TENSORS = tuple("xrqagfy")
SAMPLES = 30


@pytest.fixture(scope="module")
def model():
    return normalize(Model.from_proto(convnet()))


@pytest.fixture(scope="module")
def feeds():
    return [{"x": noise(1, 8, 12, 12, seed=seed, scale=1 + seed % 5)} for seed in range(SAMPLES)]


class Data:
    """Samples that count how many of them were read, and may break off before one of them."""

    def __init__(self, feeds, stop=None, error=KeyboardInterrupt):
        self.feeds, self.stop, self.error, self.read = feeds, stop, error, []

    def __call__(self, start):
        for index in range(start, len(self.feeds)):
            if index == self.stop:
                raise self.error
            self.read.append(index)
            yield self.feeds[index]


def ranges(model, method, data, entry=None, health=None, progress=lambda _done, _total: None):
    observer = make_observer(method, percent=99.0)
    return calibrate(model, TENSORS, data, observer, SAMPLES, entry=entry, health=health, progress=progress)


@pytest.mark.parametrize("method", METHODS)
def test_a_second_run_reads_nothing(model, feeds, method, tmp_path):
    entry = Entry(tmp_path / "new" / "a.npz")
    first = ranges(model, method, Data(feeds), entry)
    again, told = Data(feeds), []
    second = ranges(model, method, again, Entry(entry.path), progress=lambda *done: told.append(done))
    assert again.read == []
    assert second == first
    assert told == [(SAMPLES, SAMPLES)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stops", [(13,), (1,), (8, 24, 29)])
def test_after_ctrl_c_it_goes_on_to_the_same_ranges(model, feeds, method, stops, tmp_path):
    entry = tmp_path / "a.npz"
    expected = ranges(model, method, Data(feeds))
    read = []
    for stop in stops:
        data = Data(feeds, stop)
        with pytest.raises(KeyboardInterrupt):
            ranges(model, method, data, Entry(entry))
        read += data.read
    rest = Data(feeds)
    assert ranges(model, method, rest, Entry(entry)) == expected
    # Only what was read for a batch that was not run yet is read again.
    assert len(read) + len(rest.read) <= SAMPLES + 7 * len(stops)
    assert rest.read[-1] == SAMPLES - 1


@pytest.mark.parametrize("method", ["min-max", "mse"])
def test_a_process_that_is_killed_loses_what_came_after_its_last_snapshot(model, feeds, method, tmp_path):
    """Nothing is written when it dies, so what is written on the way has to do."""

    class Unplugged(Entry):
        def save(self, snapshot):
            if snapshot.done <= 16:
                super().save(snapshot)

    with pytest.raises(KeyboardInterrupt):
        ranges(model, method, Data(feeds, 28), Unplugged(tmp_path / "a.npz", seconds=0))
    rest = Data(feeds)
    assert ranges(model, method, rest, Entry(tmp_path / "a.npz")) == ranges(model, method, Data(feeds))
    assert rest.read == list(range(16, SAMPLES))


def test_an_error_of_the_data_keeps_what_was_done(model, feeds, tmp_path):
    with pytest.raises(OSError, match="gone"):
        ranges(model, "min-max", Data(feeds, 20, OSError("gone")), Entry(tmp_path / "a.npz"))
    rest = Data(feeds)
    ranges(model, "min-max", rest, Entry(tmp_path / "a.npz"))
    assert rest.read == list(range(16, SAMPLES))


def test_what_was_noticed_of_the_data_is_kept_too(model, feeds, tmp_path):
    data = [*feeds[:10], *feeds[:10]]
    expected = DataHealth(model)
    ranges(model, "min-max", Data(data), health=expected)
    assert {warning.kind for warning in expected.warnings()} == {"duplicates", "few"}
    with pytest.raises(KeyboardInterrupt):
        ranges(model, "min-max", Data(data, 15), Entry(tmp_path / "a.npz"), DataHealth(model))
    for _ in range(2):
        health = DataHealth(model)
        ranges(model, "min-max", Data(data), Entry(tmp_path / "a.npz"), health)
        assert health.warnings() == expected.warnings()


def test_a_result_without_a_look_at_the_data_is_no_answer_to_who_wants_one(model, feeds, tmp_path):
    ranges(model, "min-max", Data(feeds), Entry(tmp_path / "a.npz"))
    data, health = Data(feeds), DataHealth(model)
    ranges(model, "min-max", data, Entry(tmp_path / "a.npz"), health)
    assert len(data.read) == SAMPLES
    assert [warning.kind for warning in health.warnings()] == ["few"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"nonsense",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:100] + bytes(64) + whole[164:],
        lambda whole: whole.replace(b'"done"', b'"dune"'),
    ],
)
@pytest.mark.parametrize("stop", [None, 20])
def test_a_damaged_file_is_as_good_as_none(model, feeds, damage, stop, tmp_path):
    path = tmp_path / "a.npz"
    data = Data(feeds, stop)
    try:
        ranges(model, "entropy", data, Entry(path))
    except KeyboardInterrupt:
        assert stop
    path.write_bytes(damage(path.read_bytes()))
    data = Data(feeds)
    assert ranges(model, "entropy", data, Entry(path)) == ranges(model, "entropy", Data(feeds))
    assert len(data.read) == SAMPLES
    assert Entry(path).load().ranges is not None


def test_a_place_that_cant_be_written_means_that_nothing_is_kept(model, feeds, tmp_path):
    (tmp_path / "file").write_text("in the way")
    entry = Entry(tmp_path / "file" / "a.npz", seconds=0)
    assert ranges(model, "min-max", Data(feeds), entry) == ranges(model, "min-max", Data(feeds))
    assert entry.load() is None


def test_the_key_is_all_that_ranges_depend_on(model, tmp_path):
    other = build("(float[1] x) => (float[1] y) { y = Neg(x) }")
    given = {"model": model, "tensors": ("x", "y"), "method": "mse", "data": "d", "indexes": (0, 1), "prepared": None}
    changes = {
        "model": other,
        "tensors": ("x",),
        "method": "entropy",
        "data": "e",
        "indexes": (0, 2),
        "prepared": "p",
    }
    variants = [given, *({**given, name: value} for name, value in changes.items())]
    paths = [open_entry(**variant, folder=tmp_path).path for variant in variants]
    assert len(set(paths)) == len(variants)
    assert open_entry(**given, folder=tmp_path).path == paths[0]


def test_the_normal_form_of_a_model_has_one_key(tmp_path):
    paths = {
        open_entry(normalize(Model.from_proto(convnet())), ("x",), "mse", "d", (0,), folder=tmp_path).path
        for _ in range(2)
    }
    assert len(paths) == 1


def test_data_without_a_fingerprint_is_not_kept(model):
    assert open_entry(model, ("x",), "min-max", None, (0,)) is None


def test_where_it_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEONNX_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("calibration") == tmp_path / "own" / "calibration"
    monkeypatch.delenv("EDGEONNX_CACHE")
    assert cache_folder("calibration") == tmp_path / "xdg" / "edgeonnx" / "calibration"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("calibration") == Path.home() / ".cache" / "edgeonnx" / "calibration"


def test_only_the_newest_are_kept(tmp_path):
    now = time.time()
    for index in range(230):
        path = tmp_path / f"{index}.npz"
        path.write_bytes(b"")
        os.utime(path, (now - 1000 + index, now - 1000 + index))
    Entry(tmp_path / "new.npz").save(Snapshot(1, 1, 1, False, state={"low": np.zeros(1)}))
    left = {path.stem for path in tmp_path.glob("*.npz")}
    assert left == {"new", *(str(index) for index in range(31, 230))}
