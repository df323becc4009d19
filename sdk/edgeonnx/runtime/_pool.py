"""Sessions side by side: a run takes a free one, or waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ._errors import DeviceError, InputError, run_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    import onnxruntime as ort
    from numpy.typing import NDArray


class Pool:
    """The sessions of one model.

    One session alone serves any number of threads at once, as onnxruntime lets it; of several, each serves one.

    Args:
        sessions: of the same model, one or more.
        outputs: names of what a run gives.
        what: begins the error once the pool is closed.
    """

    def __init__(self, sessions: Sequence[ort.InferenceSession], outputs: list[str], what: str) -> None:
        self.size = len(sessions)
        self._only: ort.InferenceSession | None = sessions[0] if len(sessions) == 1 else None
        self._all = tuple(sessions)
        self._first: ort.InferenceSession | None = sessions[0]
        self._outputs = outputs
        self._what = what
        if self._only is None:
            from queue import SimpleQueue  # one session needs none

            self._free: SimpleQueue[ort.InferenceSession | None] = SimpleQueue()
            for session in sessions:
                self._free.put(session)
        self._lock = threading.Condition()
        self._executor: ThreadPoolExecutor | None = None
        self._waiting = 0

    @property
    def session(self) -> ort.InferenceSession:
        """The first session. Raises InputError once the pool is closed."""
        if self._first is None:
            raise self._closed()
        return self._first

    def run_on_each(self, inputs: dict[str, NDArray[Any]]) -> None:
        """One run of every session. Raises InputError once the pool is closed."""
        if not self._all:
            raise self._closed()
        for session in self._all:
            session.run(self._outputs, inputs)

    def run(self, inputs: dict[str, NDArray[Any]]) -> list[Any]:
        """The outputs of one run, in order.

        Raises:
            InputError: onnxruntime does not take these inputs, or the pool is closed.
        """
        session = self._only or self._take()
        try:
            found: list[Any] = session.run(self._outputs, inputs)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise InputError(run_error(error)) from error
        finally:
            if self._only is None and self._first is not None:
                self._free.put(session)
        return found

    def submit(self, call: Callable[[], Any], limit: int, timeout: float | None) -> Future[Any]:
        """Have `call` run on a thread of the pool's, of which there is one for each session.

        Args:
            call: what to run.
            limit: how many calls may wait or run before this one waits to be taken.
            timeout: how long it waits, in seconds; None: as long as it takes.

        Raises:
            DeviceError: the timeout has passed.
            InputError: the pool is closed.
        """
        with self._lock:
            if not self._lock.wait_for(lambda: self._waiting < limit or self._first is None, timeout):
                raise DeviceError(
                    f"{self._what}: {limit} calls were waiting or running for {timeout} s; this machine is slower than "
                    "they come: send fewer, load with more sessions, or give it a longer timeout"
                )
            if self._first is None:
                raise self._closed()
            if self._executor is None:
                from concurrent.futures import ThreadPoolExecutor

                self._executor = ThreadPoolExecutor(self.size, "edgeonnx")
            future = self._executor.submit(call)
            self._waiting += 1
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        """Let go of the sessions once the runs in them have ended; calls that have not begun are cancelled."""
        with self._lock:
            self._first = self._only = None
            self._all = ()
            executor, self._executor = self._executor, None
            self._lock.notify_all()
        if self.size > 1:
            self._free.put(None)  # wakes one who waits, who wakes the next
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)
        if self.size > 1:
            while self._free.get() is not None:
                pass
            self._free.put(None)

    def _take(self) -> ort.InferenceSession:
        if self._first is None:
            raise self._closed()
        session = self._free.get()
        if session is None or self._first is None:
            self._free.put(None)
            raise self._closed()
        return session

    def _done(self, _: Future[Any]) -> None:
        with self._lock:
            self._waiting -= 1
            self._lock.notify()

    def _closed(self) -> InputError:
        return InputError(f"{self._what} is closed; load it again")
