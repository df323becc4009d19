"""What runs models on a provider: the interface, and its form in a process of an interpreter that has the provider."""

import subprocess
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any, NamedTuple, Protocol

import numpy as np

from edgeonnx.errors import ModelError, TargetError
from edgeonnx.libraries import given_libraries
from edgeonnx.model import Model
from edgeonnx.providers import worker
from edgeonnx.runtime._platform import this_platform
from edgeonnx.runtime._plugins import PLUGINS

Feeds = Mapping[str, np.ndarray]
Predict = Callable[[Feeds], dict[str, np.ndarray]]

# Interpreters start with their own paths only, not with what is set up for this one.
_ISOLATED = "-I"


def _own_libraries() -> tuple[str, ...]:
    return tuple(str(library.path) for library in given_libraries(this_platform()))


@dataclass(frozen=True)
class Setting:
    """How sessions are opened.

    Attributes:
        provider: name as onnxruntime spells it.
        options: of the provider.
        graph_optimization: `disabled`, `basic`, `extended` or `all`.
        config: session config entries.
        threads: within an operator.
        extensions: whether models have operators of onnxruntime-extensions.
        libraries: paths of those with custom operators.
    """

    provider: str
    options: Mapping[str, str] = field(default_factory=dict)
    graph_optimization: str = "all"
    config: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    extensions: bool = False
    libraries: tuple[str, ...] = field(default_factory=_own_libraries)


class Landed(NamedTuple):
    """Where a node of the optimized graph ran.

    Attributes:
        name: the node's; a provider that compiles names the node it makes of many.
        op_type: its operator.
        provider: that ran it.
    """

    name: str
    op_type: str
    provider: str


class Runner(Protocol):
    """Runs models on one provider."""

    @property
    def where(self) -> str:
        """Provider, release of onnxruntime and interpreter, for people."""

    def load(self, model: Model) -> Predict:
        """The model as a function of its feeds.

        Raises:
            ModelError: the provider does not accept it.
        """

    def close(self) -> None:
        """End it, and every model loaded on it."""

    def time(self, first: Model, second: Model, feeds: Feeds, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Two models in turns in one process: seconds of each call, shape (turns,) each."""

    def landed(self, model: Model, feeds: Feeds) -> tuple[Landed, ...]:
        """Where the nodes of a model ran, from the provider's own profile of one run."""

    def assigned(self, model: Model) -> tuple[Landed, ...]:
        """Which provider each node of a model is given to, before a provider compiles its own into one.

        Raises:
            ModelError: the provider does not accept the model, or its onnxruntime (before 1.24) does not tell.
        """


class ProcessRunner:
    """A runner in a process of its own, which needs numpy and onnxruntime alone.

    The process ends with this object, or with the interpreter.

    Args:
        python: an interpreter that has the provider.
        setting: how sessions are opened.

    Raises:
        TargetError: the interpreter can't be started, or the provider does not run there.
    """

    def __init__(self, python: Path, setting: Setting) -> None:
        self._setting, self._lock, self._known = setting, Lock(), dict[int, tuple[Model, int]]()
        folder = tempfile.TemporaryDirectory()
        self._place = Path(folder.name)
        self._log = (self._place / "log.txt").open("w+", encoding="utf-8", errors="replace")
        command = [str(python), _ISOLATED, worker.__file__]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=folder.name
            )
        except OSError as error:
            self._log.close()
            folder.cleanup()
            raise TargetError(f"{python} can't be started: {error.strerror}") from error
        self._end = weakref.finalize(self, _end, self._process, self._log, folder)
        try:
            told, _ = self._ask(
                {"do": "hello", "setting": asdict(setting), "plugin": PLUGINS.get(setting.provider, "")}
            )
        except ModelError as error:
            self.close()
            raise TargetError(f"{python}: {error}") from error
        self.where = f"{setting.provider}, onnxruntime {told['version']}, {python}"

    def load(self, model: Model) -> Predict:
        """See `Runner.load`."""
        session = self._opened(model)
        names = [tensor.name for tensor in model.outputs]

        def predict(feeds: Feeds) -> dict[str, np.ndarray]:
            _, arrays = self._ask({"do": "run", "session": session}, feeds)
            return dict(zip(names, arrays.values(), strict=True))

        return predict

    def time(self, first: Model, second: Model, feeds: Feeds, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """See `Runner.time`."""
        sessions = [self._opened(first), self._opened(second)]
        _, arrays = self._ask({"do": "time", "sessions": sessions, "seconds": seconds}, feeds)
        one, two = arrays.values()
        return one, two

    def landed(self, model: Model, feeds: Feeds) -> tuple[Landed, ...]:
        """See `Runner.landed`."""
        with tempfile.TemporaryDirectory() as folder:
            path = model.save(Path(folder) / "model.onnx")
            told, _ = self._ask({"do": "landed", "model": str(path)}, feeds)
        return tuple(Landed(*entry) for entry in told["nodes"])

    def assigned(self, model: Model) -> tuple[Landed, ...]:
        """See `Runner.assigned`."""
        with tempfile.TemporaryDirectory() as folder:
            path = model.save(Path(folder) / "model.onnx")
            told, _ = self._ask({"do": "assigned", "model": str(path)})
        return tuple(Landed(*entry) for entry in told["nodes"])

    def log(self) -> str:
        """What the provider has printed so far."""
        self._log.seek(0)
        return self._log.read()

    def close(self) -> None:
        """End the process."""
        self._end()

    def _opened(self, model: Model) -> int:
        """Number of the model's session; models are known by identity, and kept so that none takes another's place."""
        if id(model) not in self._known:
            # The file is named by its place in the worker's folder: providers write that name into what they compile.
            path = self._place / f"{len(self._known)}.onnx"
            try:
                model.save(path)
                told, _ = self._ask({"do": "open", "model": path.name})
            finally:
                for file in path.parent.glob(f"{path.name}*"):
                    file.unlink()
            self._known[id(model)] = (model, told["session"])
        return self._known[id(model)][1]

    def _ask(self, question: dict[str, Any], arrays: Feeds | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """One question and its answer.

        Raises:
            ModelError: the worker says what went wrong, or is no more.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            try:
                worker.send(self._process.stdin, question, dict(arrays or {}))
                answer, found = worker.receive(self._process.stdout)
            except (EOFError, BrokenPipeError) as error:
                raise ModelError(f"{self._setting.provider}: its process ended: {self._last_words()}") from error
        if "error" in answer:
            raise ModelError(f"{self._setting.provider}: {answer['error']}")
        return answer, found

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines() or ["no message"]
        return f"exit code {code}: {lines[-1]}"


def _end(process: subprocess.Popen[bytes], log: IO[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    """Close the worker's input, which ends it, and what is left of it."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()
    log.close()
    folder.cleanup()
