"""The model on the device: opened once, checked on every call."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from ._batch import Batches, counted_input
from ._checks import Checks
from ._errors import BundleError, EdgeonnxError, InputError
from ._pool import Pool
from ._result import read_labels, read_result
from ._samples import Samples, all_arrays
from ._stats import Recorder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from typing import Union

    import onnxruntime as ort
    from numpy.typing import NDArray

    from ._bundle import Bundle
    from ._health import HealthReport, Monitor
    from ._listen import Heard
    from ._manifest import Variant
    from ._placement import Placement
    from ._result import AnyResult
    from ._stats import Stats

    Arrays = dict[str, NDArray[Any]]
    Input = Union[NDArray[Any], str, os.PathLike[str], Mapping[str, Any]]


class Model:
    """A bundle's model, ready to run. All of it may be used from several threads at once.

    Attributes:
        manifest: the bundle's manifest, frozen.
        variant: the one of its variants that runs here.
        notices: what a person should know of how it was chosen, a sentence each.
        inputs, outputs: the manifest's specs: name, dtype, shape.
        labels: class names by index, or None.
        path: the bundle's path.
        load_seconds: how long load() took, imports on first use included.
    """

    def __init__(
        self,
        bundle: Bundle,
        variant: Variant,
        sessions: Sequence[ort.InferenceSession],
        notices: tuple[str, ...],
        start: float,
        *,
        check_values: bool = True,
        watch: bool = True,
    ) -> None:
        self.manifest = bundle.manifest
        self.variant = variant
        self.notices = notices
        self.inputs = bundle.manifest.inputs
        self.outputs = bundle.manifest.outputs
        self.labels = read_labels(bundle)
        self.path = bundle.path
        # run() looks at these alone: what can be worked out once is not worked out on every call.
        self._checks = Checks(self.inputs, check_values)
        self._output_names = [spec.name for spec in self.outputs]
        self._pool = Pool(sessions, self._output_names, self.manifest.name)
        self._recorder = Recorder()
        self._samples = Samples(self.inputs)
        self._counted = counted_input(self.manifest)
        self._batches = Batches(self.manifest, variant, self.run, self._run_each)
        self._bundle = bundle
        self._monitor: Monitor | None = None
        # The first run is cold and not looked at, the second is; after that, looks wait until they are paid for.
        self._unwatched_runs = 1 if watch and self.manifest.health is not None else math.inf
        self._beginning = threading.Lock()
        self.load_seconds = time.perf_counter() - start

    @property
    def sessions(self) -> int:
        """How many runs it does at a time where several sessions were asked for."""
        return self._pool.size

    @property
    def session(self) -> ort.InferenceSession:
        """The onnxruntime session, the first of several. Raises InputError once the model is closed."""
        return self._pool.session

    def run(self, inputs: Arrays) -> Arrays:
        """Run the model on arrays, which are checked, and neither copied nor converted.

        Args:
            inputs: an array for each input by name. Dimensions that the spec names by a string may be of any size.

        Returns:
            The outputs by name. Strings come as arrays of dtype object.

        Raises:
            InputError: a name, dtype or shape differs from the spec, a float is NaN or infinite, or onnxruntime could
                not run the arrays.
        """
        try:
            self._checks.check(inputs)
            start = time.perf_counter()
            values = self._pool.run(inputs)
            seconds = time.perf_counter() - start
        except EdgeonnxError:
            self._recorder.failed()
            raise
        elapsed = self._recorder.ran(seconds, len(inputs[self._counted]) if self._counted else 0)
        monitor = self._monitor
        if monitor is not None:
            if elapsed >= monitor.next:
                monitor.look(inputs)
        elif self._unwatched_runs < 1:
            self._watched().look(inputs)
        else:
            self._unwatched_runs -= 1
        return dict(zip(self._output_names, values))

    def check(self, inputs: Arrays) -> None:
        """See that `run` would take these arrays. Raises InputError as `run` does."""
        self._checks.check(inputs)

    def __call__(self, x: Input | None = None, /, **inputs: Input) -> AnyResult:
        """Run one sample: `model(x)` where there is one input, else `model(a=..., b=...)`.

        Args:
            x: an array, the path of an `.npy` file, or what the input's `media` says: the path of a picture or a sound,
                text, a row of a table as a mapping or a file.
            inputs: the same by input name.

        Returns:
            What the manifest's `result` says, such as a Classification; else the outputs by name.

        Raises:
            InputError: see `run`; or a file that can't be read.
        """
        if x is not None and inputs:
            usage = self._samples.usage()
            raise InputError(f"expected model({usage}), got {1 + len(inputs)} inputs of which one has no name")
        return self.read(self.run(self.arrays(inputs if x is None else x)))

    def arrays(self, sample: Input) -> Arrays:
        """A sample as `run` takes it.

        Args:
            sample: what `model(x)` takes; or several inputs by name, as a dict.

        Raises:
            InputError: names that differ from the inputs', or a file that can't be read.
        """
        if isinstance(sample, dict) and all_arrays(sample.values()):
            return sample
        start = time.perf_counter()
        found = self._samples.arrays(sample)
        self._recorder.read(time.perf_counter() - start)
        return found

    def read(self, outputs: Arrays) -> AnyResult:
        """What `run` gave for one sample, read as the manifest's `result` says; as it is where that says nothing.

        Raises:
            InputError: the outputs are of several samples, or hold NaN.
        """
        return read_result(outputs, self.manifest.result, self.labels)

    def stream(self, samples: Iterable[Input], *, depth: int = 2) -> Generator[AnyResult, None, None]:
        """The result of each sample, in order, while others are being read and run.

        Reading (iterating over `samples`, opening files), inference and reading the results each have a thread. They
        end with the generator: at its end, with an error, or when it is closed, for which a `for` loop that is left
        early waits until the sample that is being read has come, two seconds at most.

        Args:
            samples: each as `model(x)` takes it; or several inputs by name, as a dict.
            depth: how many samples may wait between two threads; no more are read ahead.

        Raises:
            InputError: see `run`; and whatever `samples` raises. The results of the samples before come first.
        """
        if depth < 1:
            raise InputError(f"depth: expected 1 or more, got {depth}")
        from ._stream import overlapped

        if self._pool.size == 1:
            return overlapped(samples, (self.arrays, self.run, self.read), depth)

        def begin(sample: Input) -> Future[Arrays]:
            return self.run_async(self.arrays(sample), queue=ahead)

        depth = max(depth, self._pool.size)
        ahead = 2 * depth + 2
        return overlapped(samples, (begin, lambda future: future.result(), self.read), depth)

    def batch(self, samples: Sequence[Input]) -> list[AnyResult]:
        """The result of each sample, of all of them.

        Samples are stacked into one run where every input has a free first axis and the first batch came out the same
        stacked and one by one; else they are spread over the sessions.

        Args:
            samples: each as `model(x)` takes it; or several inputs by name, as a dict.

        Raises:
            InputError: see `run`.
        """
        return [self.read(outputs) for outputs in self._batches.run([self.arrays(sample) for sample in samples])]

    def run_async(self, inputs: Arrays, *, queue: int = 16, timeout: float | None = None) -> Future[Arrays]:
        """`run` on a thread of the model's, of which there is one for each session.

        Args:
            inputs: as `run` takes them; not to be altered before the future is done.
            queue: while so many calls are waiting or running, this one blocks.
            timeout: for how many seconds it may block; None: as long as it takes.

        Returns:
            The future of what `run` returns or raises.

        Raises:
            DeviceError: the timeout has passed.
            InputError: the model is closed.
        """
        if queue < 1:
            raise InputError(f"queue: expected 1 or more, got {queue}")
        return self._pool.submit(lambda: self.run(inputs), queue, timeout)

    def warmup(self, runs: int = 3) -> None:
        """Run the first golden sample a few times on each session, or zeros where there is none; nothing is counted.

        The first runs of a session are slow: it takes memory, and the CPU gets up to speed.
        """
        from ._selftest import first_inputs

        inputs = first_inputs(self)
        for _ in range(runs):
            self._pool.run_on_each(inputs)

    def listen(self, chunks: Iterable[NDArray[Any]], **inputs: NDArray[Any]) -> Iterator[Heard]:
        """The result of each window of a signal that comes in chunks, as soon as the window is full.

        Args:
            chunks: samples, as many as there are, of the input that the manifest's `stream` names.
            inputs: what other inputs take in every run.

        Raises:
            InputError: the bundle has no stream, or a chunk does not fit.
        """
        from ._listen import Listener

        return Listener(self, inputs).listen(chunks)

    def stats(self) -> Stats:
        """Counts and times of all that was run so far."""
        return self._recorder.stats(self.load_seconds)

    def health(self) -> HealthReport:
        """Whether what the model sees is still what it was calibrated on. Raises as `monitor`."""
        return self.monitor.report()

    @property
    def monitor(self) -> Monitor:
        """What watches the inputs: has `on_alarm`, `reset()` and `look(inputs)`.

        Raises:
            BundleError: the bundle does not say what calibration saw.
            InputError: the model was loaded with watch=False.
        """
        if self._monitor is not None or self._unwatched_runs < math.inf:
            return self._watched()
        if self.manifest.health is not None:
            raise InputError("health: the inputs are not watched, the model was loaded with watch=False")
        raise BundleError(
            f"{os.path.basename(self.path)} does not say what calibration saw; quantize with this release, or package "
            "with --data"
        )

    def placement(self) -> Placement:
        """Where the nodes landed, and whether the CPU got more than the manifest says. May load the model anew."""
        from ._placement import model_placement

        return model_placement(self)

    def close(self) -> None:
        """Free the sessions, once the runs in them have ended. Later calls raise InputError."""
        self._pool.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<edgeonnx_runtime.Model {self.manifest.name} {self.manifest.version} for {self.manifest.target}>"

    def _watched(self) -> Monitor:
        """The monitor, made when it is first needed: the first result does not wait for it."""
        with self._beginning:
            if self._monitor is None:
                from ._health import Monitor

                health = self.manifest.health
                assert health is not None
                graph, extended = self._bundle.read(health.file), self.manifest.extensions is not None
                self._monitor = Monitor(health, graph, self._bundle.name, extended, self._recorder.elapsed)
            return self._monitor

    def _run_each(self, samples: Sequence[Arrays]) -> list[Arrays]:
        if self._pool.size == 1:
            return [self.run(sample) for sample in samples]
        futures = [self.run_async(sample, queue=2 * self._pool.size) for sample in samples]
        return [future.result() for future in futures]
