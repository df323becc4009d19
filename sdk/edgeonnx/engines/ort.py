"""The engine `ort`: onnxruntime's own quantizer, with its defaults."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic

from onnxruntime.quantization import CalibrationDataReader, quantize_dynamic, quantize_static

from edgeonnx.engines.base import Failure, Feeds, Proposal, proposal
from edgeonnx.model import Model, explained
from edgeonnx.quiet import quiet_logging

Maker = Callable[[Path, Path], object]


class OrtEngine:
    """Static quantization per channel and per tensor, and dynamic quantization.

    Entropy and percentile calibration are left out: they hold every activation of every sample in memory.
    """

    name = "ort"

    def propose(
        self, model: Model, feeds: Callable[[], Iterable[Feeds]], folder: Path, seconds: float
    ) -> Iterator[Proposal | Failure]:
        """See `Engine.propose`."""
        until = monotonic() + seconds
        source = model.save(folder / "model.onnx")
        for label, make in _ways(feeds).items():
            name = f"{self.name}: {label}"
            if monotonic() > until:
                yield Failure(name, f"not begun: {seconds:.0f} s were over")
            else:
                yield _made(name, make, source, model)


def _ways(feeds: Callable[[], Iterable[Feeds]]) -> dict[str, Maker]:
    def static(source: Path, result: Path, per_channel: bool) -> None:
        quantize_static(source, result, _Reader(feeds()), per_channel=per_channel)

    return {
        "per-channel": partial(static, per_channel=True),
        "per-tensor": partial(static, per_channel=False),
        "dynamic": quantize_dynamic,
    }


def _made(name: str, make: Maker, source: Path, given: Model) -> Proposal | Failure:
    result = source.with_name(f"{name.rpartition(' ')[2]}.onnx")
    try:
        with quiet_logging():
            make(source, result)
    except Exception as error:  # the quantizer raises whatever its parts raise
        return Failure(name, explained(error))
    return proposal(name, result, given)


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
    """Samples in the form onnxruntime's calibration reads them."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next sample; None after the last."""
        return next(self._feeds, None)
