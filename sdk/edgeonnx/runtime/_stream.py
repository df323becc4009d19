"""Stages that overlap: each on a thread of its own, with short queues between them."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

# A thread that waits for its source can't be interrupted. It is left to end by itself when the source gives something.
_PATIENCE_S = 2.0


def overlapped(source: Iterable[Any], stages: Sequence[Callable[[Any], Any]], depth: int) -> Generator[Any, None, None]:
    """What the last stage makes of each item of `source`, in order.

    The first stage runs on the thread that iterates over `source`, each other one on a thread of its own. Threads start
    with the first `next`, and end with the generator: at its end, at an error, or when it is closed.

    Args:
        source: what goes in; it is read no further ahead than the queues are long.
        stages: take an item and give the next stage's.
        depth: how many items each queue holds, 1 or more.

    Raises:
        Exception: what the source or a stage raised, after the results of the items before it.
    """
    channels = [Channel(depth) for _ in stages]
    calls = [partial(_feed, source, stages[0], channels[0])]
    calls += [partial(_work, stage, *ends) for stage, *ends in zip(stages[1:], channels, channels[1:])]
    threads = [threading.Thread(target=call, daemon=True, name=f"edgeonnx-stream-{i}") for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    try:
        while True:
            kind, value = channels[-1].get()
            if kind is _END:
                return
            if kind is _ERROR:
                raise value
            yield value
    finally:
        for channel in channels:
            channel.close()
        for thread in threads:
            thread.join(_PATIENCE_S)


_ITEM, _ERROR, _END = "item", "error", "end"


class Channel:
    """A queue of bounded length that can be closed from either side.

    Args:
        depth: how many messages it holds.
    """

    def __init__(self, depth: int) -> None:
        self._messages: deque[Any] = deque()
        self._depth = depth
        self._open = True
        self._changed = threading.Condition()

    def put(self, message: Any) -> bool:
        """Add a message, once there is room. False: nobody will take it, the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._messages) < self._depth or not self._open)
            if self._open:
                self._messages.append(message)
                self._changed.notify_all()
            return self._open

    def get(self) -> Any:
        """The next message, once there is one; an end where the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._messages or not self._open)
            if not self._open:
                return _END, None
            self._changed.notify_all()
            return self._messages.popleft()

    def close(self) -> None:
        """Let go of what is in it, and of those who wait."""
        with self._changed:
            self._open = False
            self._messages.clear()
            self._changed.notify_all()


def _feed(source: Iterable[Any], stage: Callable[[Any], Any], after: Channel) -> None:
    """Send what `stage` makes of each item, then an end, or what was raised."""
    iterator: Any = None
    try:
        iterator = iter(source)
        for item in iterator:
            if not after.put((_ITEM, stage(item))):
                return
        after.put((_END, None))
    except BaseException as error:  # is raised where the results are taken
        after.put((_ERROR, error))
    finally:
        if iterator is not source and hasattr(iterator, "close"):
            iterator.close()


def _work(stage: Callable[[Any], Any], before: Channel, after: Channel) -> None:
    """Send what `stage` makes of each message's value, up to the end or an error."""
    while True:
        kind, value = before.get()
        if kind is _ITEM:
            try:
                value = stage(value)
            except BaseException as error:  # as above
                kind, value = _ERROR, error
        if not after.put((kind, value)) or kind is not _ITEM:
            return
