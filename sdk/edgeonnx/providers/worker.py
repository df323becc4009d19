"""Runs models on a provider, in an interpreter that has it; of edgeonnx it needs nothing.

    python -I worker.py

Reads questions from standard input and answers on standard output. A message is two lengths in bytes, 8 bytes each and
little-endian, JSON text of the first length, and a `.npz` archive of the second, whose arrays `0`, `1`, ... are named
in the JSON under `names`. What libraries print goes to standard error.

    {"do": "hello", "setting": {...}, "plugin": PACKAGE}       {"version"}     see `Setting` in runner.py
    {"do": "open", "model": PATH}              {"session": NUMBER}
    {"do": "run", "session": N} + feeds        {} + outputs
    {"do": "time", "sessions": [N, M], "seconds": S} + feeds   {} + seconds of each call, two arrays
    {"do": "landed", "model": PATH} + feeds    {"nodes": [[NAME, OPERATOR, PROVIDER], ...]}
    {"do": "assigned", "model": PATH}          {"nodes": [[NAME, OPERATOR, PROVIDER], ...]}

Whatever fails is answered by {"error": TEXT}.
"""

from __future__ import annotations

import io
import json
import os
import struct
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np

_LENGTHS = struct.Struct("<QQ")
_WARM_UP, _FEWEST = 3, 30
_LEVELS = {"disabled": "DISABLE_ALL", "basic": "ENABLE_BASIC", "extended": "ENABLE_EXTENDED", "all": "ENABLE_ALL"}
_CPU = "CPUExecutionProvider"


def send(stream: IO[bytes], message: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write one message."""
    packed = io.BytesIO()
    # Text has no fixed width in onnxruntime's arrays, and would be pickled.
    given = (np.asarray(array) for array in arrays.values())
    plain: list[Any] = [array.astype(np.str_) if array.dtype == object else array for array in given]
    np.savez(packed, **{str(place): array for place, array in enumerate(plain)})
    text = json.dumps({**message, "names": list(arrays)}).encode()
    stream.write(_LENGTHS.pack(len(text), packed.tell()) + text + packed.getvalue())
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read one message.

    Raises:
        EOFError: there is none, or it is cut short.
    """
    first, second = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    message = json.loads(_exactly(stream, first))
    with np.load(io.BytesIO(_exactly(stream, second)), allow_pickle=False) as packed:
        return message, {name: packed[str(place)] for place, name in enumerate(message["names"])}


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


class Worker:
    """Sessions on one provider, by number."""

    def __init__(self) -> None:
        self._sessions: list[Any] = []
        self._setting: dict[str, Any] = {}

    def answer(self, question: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Do what is asked."""
        match question["do"]:
            case "hello":
                return self._hello(question["setting"], question["plugin"]), {}
            case "open":
                self._sessions.append(self._session(question["model"]))
                return {"session": len(self._sessions) - 1}, {}
            case "run":
                session = self._sessions[question["session"]]
                names = [value.name for value in session.get_outputs()]
                return {}, dict(zip(names, session.run(None, _taken(session, arrays)), strict=True))
            case "time":
                sessions = [self._sessions[number] for number in question["sessions"]]
                return {}, _in_turns(sessions, arrays, question["seconds"])
            case "landed":
                return {"nodes": self._landed(question["model"], arrays)}, {}
            case "assigned":
                return {"nodes": self._assigned(question["model"])}, {}
            case _:
                raise ValueError(f"unknown question {question['do']}")

    def _hello(self, setting: dict[str, Any], plugin: str) -> dict[str, str]:
        import onnxruntime as ort

        self._setting = setting
        if setting["provider"] not in ort.get_available_providers() and plugin and find_spec(plugin):
            library = str(Path(import_module(plugin).get_library_path()).resolve())
            ort.register_execution_provider_library(setting["provider"], library)
        if setting["provider"] not in ort.get_available_providers() and not self._devices():
            have = ", ".join(ort.get_available_providers())
            raise RuntimeError(f"expected {setting['provider']}, got onnxruntime {ort.__version__} with {have}")
        return {"version": ort.__version__}

    def _session(self, model: str, profile: str = "", record: bool = False) -> Any:
        """A session; onnxruntime only warns where a provider could not be set up, and goes on without it."""
        import onnxruntime as ort

        setting, options = self._setting, ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = setting["threads"], 1
        options.log_severity_level = 3
        level = f"ORT_{_LEVELS[setting['graph_optimization']]}"
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        for key, value in setting["config"].items():
            options.add_session_config_entry(key, value)
        if record:
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if setting["extensions"]:
            options.register_custom_ops_library(import_module("onnxruntime_extensions").get_library_path())
        for library in setting["libraries"]:
            options.register_custom_ops_library(library)
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        providers: list[Any] | None = [(setting["provider"], dict(setting["options"]))]
        if devices := self._devices():
            options.add_provider_for_devices(devices, dict(setting["options"]))
            providers = None
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
        if session.get_providers()[0] != setting["provider"]:
            raise RuntimeError(
                "it could not be set up on this machine; onnxruntime would run on the CPU provider alone"
            )
        return session

    def _devices(self) -> list[Any]:
        """The provider's, where it is a plugin: its sessions are made for devices, not by name."""
        import onnxruntime as ort

        return [each for each in getattr(ort, "get_ep_devices", list)() if each.ep_name == self._setting["provider"]]

    def _landed(self, model: str, arrays: dict[str, np.ndarray]) -> list[tuple[str, str, str]]:
        session = self._session(model, str(Path(model).with_suffix("")))
        session.run(None, _taken(session, arrays))
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
        ended = "_kernel_time"
        nodes = (event for event in events if event.get("cat") == "Node" and event["name"].endswith(ended))
        return [
            (node["name"].removesuffix(ended), node["args"]["op_name"], node["args"].get("provider", _CPU))
            for node in nodes
        ]

    def _assigned(self, model: str) -> list[tuple[str, str, str]]:
        graphs = self._session(model, record=True).get_provider_graph_assignment_info()
        return [(node.name, node.op_type, graph.ep_name) for graph in graphs for node in graph.get_nodes()]


def _taken(session: Any, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The feeds that the session takes."""
    return {value.name: arrays[value.name] for value in session.get_inputs()}


def _in_turns(sessions: list[Any], arrays: dict[str, np.ndarray], seconds: float) -> dict[str, np.ndarray]:
    """Seconds of each call; which session goes first changes from turn to turn."""
    feeds = [_taken(session, arrays) for session in sessions]
    for session, fed in zip(sessions, feeds, strict=True):
        for _ in range(_WARM_UP):
            session.run(None, fed)
    times: list[list[float]] = [[] for _ in sessions]
    end, turn = time.perf_counter() + seconds, 0
    while turn < _FEWEST or time.perf_counter() < end:
        order = range(len(sessions)) if turn % 2 == 0 else range(len(sessions) - 1, -1, -1)
        for place in order:
            start = time.perf_counter()
            sessions[place].run(None, feeds[place])
            times[place].append(time.perf_counter() - start)
        turn += 1
    return {str(place): np.array(series) for place, series in enumerate(times)}


def main() -> None:
    """Answer until standard input ends."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = Worker()
    while True:
        try:
            question, arrays = receive(questions)
        except EOFError:
            return
        try:
            answer, found = worker.answer(question, arrays)
        except Exception as error:  # onnxruntime's exception types are private and many
            lines = (str(error).strip() or type(error).__name__).splitlines()
            answer, found = {"error": lines[0]}, {}
        send(answers, answer, found)


if __name__ == "__main__":
    main()
