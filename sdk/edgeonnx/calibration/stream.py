"""Calibration: samples stream through the model once, and an observer finds the range of each tensor."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from edgeonnx.calibration.batches import Feed, Limit, batch_limit, grouped, joined, same
from edgeonnx.calibration.cache import Entry, Snapshot
from edgeonnx.calibration.health import DataHealth
from edgeonnx.calibration.observer import Observer, Seen
from edgeonnx.calibration.plan import Plan
from edgeonnx.calibration.probes import Probes
from edgeonnx.calibration.shapes import shapes_for
from edgeonnx.errors import DataError
from edgeonnx.model import Model, explained
from edgeonnx.ranges import Ranges

# From which sample on -> the samples from there, in order.
Feeds = Callable[[int], Iterable[Feed]]
# Told (samples done, samples in all).
Progress = Callable[[int, int], None]


def calibrate(
    model: Model,
    tensors: Sequence[str],
    feeds: Feeds,
    observer: Observer,
    total: int,
    *,
    progress: Progress = lambda _done, _total: None,
    health: DataHealth | None = None,
    entry: Entry | None = None,
) -> Ranges:
    """The ranges that tensors are to be quantized to.

    Args:
        model: a float model, normalized.
        tensors: names of float32 tensors of its main graph: see `needed_tensors`.
        feeds: from which sample on -> input name -> array, one mapping a sample. Called once, with 0 unless an
            earlier calibration was broken off.
        observer: the method.
        total: how many samples there are, for `progress`.
        progress: told (samples done, samples in all).
        health: shown each sample as it goes by.
        entry: where the result is kept, and what is needed to go on after an interruption; None: nowhere.

    Returns:
        Ranges of `tensors`, and of the tensors that vanish into them.

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.
        ModelError: onnxruntime does not accept the model.
        ValueError: there is no such tensor.
    """
    last = entry.load() if entry else None
    if last is not None and health is not None and last.health is None:
        last = None  # what nobody looked at can't be told of
    if last is not None and last.ranges is not None:
        if health and last.health:
            health.restore(last.health)
        progress(total, total)
        return Ranges(last.ranges, last.done)
    stream = _Stream(Plan(model, tensors), observer, health, entry, last)
    stream.run(feeds, lambda done: progress(done, total))
    ranges = stream.plan.ranges(*observer.ranges())
    if entry:
        entry.save(replace(stream.snapshot(), state={}, ranges=ranges))
    return Ranges(ranges, stream.done)


class _Stream:
    """The samples on their way, and where it stands."""

    def __init__(
        self, plan: Plan, observer: Observer, health: DataHealth | None, entry: Entry | None, last: Snapshot | None
    ) -> None:
        self.plan, self.done = plan, 0
        self._observer, self._health, self._entry = observer, health, entry
        self._limit, self._turn = Limit(0), 0
        observer.begin(len(plan.observed))
        if last is not None:
            self._go_on(last)

    def _go_on(self, last: Snapshot) -> None:
        self.done, self._turn = last.done, last.turn
        self._limit = Limit(last.batch, last.proven)
        self._observer.restore(last.state)
        if self._health and last.health:
            self._health.restore(last.health)

    def snapshot(self) -> Snapshot:
        """All that has to be known to go on from here."""
        health = self._health.state() if self._health else None
        limit = self._limit
        return Snapshot(self.done, self._turn, limit.samples, limit.proven, health, self._observer.state())

    def run(self, feeds: Feeds, progress: Callable[[int], None]) -> None:
        """Send all samples through, from where it stands."""
        samples = iter(feeds(self.done))
        first = list(islice(samples, 1))
        if not first:
            if not self.done:
                raise DataError("calibration needs at least one sample, got none")
            return
        shapes = shapes_for(self.plan.model, first[0])
        self._limit.samples = self._limit.samples or self._batch_limit(shapes)
        probes = Probes(self.plan.model, self.plan.observed, self._observer.wants_values, shapes)
        whole = True  # what is summed up belongs to exactly `done` samples
        try:
            for batch in grouped(_after(first, samples), self._limit):
                seen = self._seen(probes, batch)
                whole = False
                self._take_in(batch, seen)
                if self._entry and self._entry.due:
                    self._save()
                whole = True
                progress(self.done)
        except BaseException:  # Ctrl-C above all
            if whole and self.done:
                self._save()
            raise

    def _take_in(self, batch: Sequence[Feed], seen: Sequence[Seen]) -> None:
        for each in seen:
            self._observer.update(each)
        if self._health:
            for feed in batch:
                self._health.observe(feed)
        self.done += len(batch)
        self._turn += 1

    def _save(self) -> None:
        if self._entry:
            self._entry.save(self.snapshot())

    def _batch_limit(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        return batch_limit(self.plan.model, shapes) if self._observer.takes_batches else 1

    def _seen(self, probes: Probes, batch: Sequence[Feed]) -> list[Seen]:
        """What the tensors hold for a batch: of it as one, or where that is not the same, of each sample."""
        if len(batch) > 1:
            try:
                seen = probes.run(joined(batch), self._turn)
            except Exception:  # onnxruntime's exception types are private; run alone, the sample at fault is named
                self._limit.samples = 1
            else:
                if self._limit.proven or same(seen, self._one_by_one(probes, batch)):
                    self._limit.proven = True
                    return [seen]
                self._limit.samples = 1
        return self._one_by_one(probes, batch)

    def _one_by_one(self, probes: Probes, batch: Sequence[Feed]) -> list[Seen]:
        found = []
        for index, feed in enumerate(batch, self.done):
            try:
                found.append(probes.run(feed, self._turn))
            except Exception as error:  # onnxruntime's exception types are private and many
                hint = self._layout_hint(feed)
                message = f"calibration sample {index}: the model does not run: {explained(error)}{hint}"
                raise DataError(message) from error
        return found

    def _layout_hint(self, feed: Feed) -> str:
        """What the sample that the model refused looks like."""
        if self._health is None:
            return ""
        self._health.observe(feed)
        return "".join(f"; {warning.message}" for warning in self._health.warnings() if warning.kind == "layout")


def _after(first: list[Feed], rest: Iterator[Feed]) -> Iterator[Feed]:
    """The samples in `first`, let go of as they are handed on, and the rest."""
    while first:
        yield first.pop(0)
    yield from rest
