"""What calibration found, kept between runs: finished, it need not run again; broken off, it goes on from there.

A file for each calibration, named after all that it depends on. A file that can't be read is as good as none and is
written anew; a folder that can't be written means that nothing is kept.
"""

import hashlib
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.calibration.observer import State
from edgeonnx.errors import OutputError
from edgeonnx.files import cache_folder, replacing
from edgeonnx.libraries import libraries_here
from edgeonnx.model import Model

# To be raised when the same inputs come to give other ranges, or what is kept of them changes.
_FORMAT = 2
_FILES = 200
_SECONDS = 3.0


@dataclass(frozen=True)
class Snapshot:
    """A calibration at some point.

    Attributes:
        done: how many samples are in it.
        turn: how many runs that took.
        batch: how many samples may come as one.
        proven: whether a batch was compared with its samples.
        health: the state of what looks at the data, as JSON has it; None if nothing did.
        state: the observer's.
        ranges: the result; None while it is not finished.
    """

    done: int
    turn: int
    batch: int
    proven: bool
    health: Mapping[str, Any] | None = None
    state: State = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] | None = None


class Entry:
    """The file of one calibration.

    Args:
        path: where it is, or is to be.
        seconds: how often its state is worth writing.
    """

    def __init__(self, path: Path, seconds: float = _SECONDS) -> None:
        self.path = path
        self._seconds = seconds
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last snapshot is old."""
        return time.monotonic() - self._written >= self._seconds

    def load(self) -> Snapshot | None:
        """The last snapshot; None if there is none, or none that can be read."""
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                state = {name: arrays[name] for name in arrays.files}
            told = json.loads(state.pop("json").tobytes())
            ranges = told.pop("ranges")
            pairs = (
                None if ranges is None else {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
            )
            return Snapshot(state=state, ranges=pairs, **told)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file by a snapshot, whole or not at all."""
        told = {each.name: getattr(snapshot, each.name) for each in fields(snapshot) if each.name != "state"}
        text = np.frombuffer(json.dumps(told).encode(), np.uint8)
        arrays: dict[str, Any] = {**snapshot.state, "json": text}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
            _forget_oldest(self.path.parent)
        except (OutputError, OSError):
            pass  # to calibrate again costs time, no more
        self._written = time.monotonic()


def open_entry(
    model: Model,
    tensors: Sequence[str],
    method: str,
    data: str | None,
    indexes: Sequence[int],
    prepared: str | None = None,
    folder: Path | None = None,
) -> Entry | None:
    """The entry of a calibration; None where data has no fingerprint, as what a function yields.

    Args:
        model: the float model, as it is observed.
        tensors: what is asked for.
        method: the observer's name, which tells its parameters.
        data: fingerprint of the samples' files.
        indexes: which of them, in order.
        prepared: fingerprint of what is done to samples before the model.
        folder: where entries are kept; None: see `cache_folder`.
    """
    if data is None:
        return None
    program = [_FORMAT, version("onnxruntime"), *libraries_here()]
    parts = [program, model.sha256, list(tensors), method, data, list(indexes), prepared]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return Entry((folder or cache_folder("calibration")) / f"{key}.npz")


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_FILES:]:
        path.unlink(missing_ok=True)
