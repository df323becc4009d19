"""Many samples at once: stacked into one run where the model takes them so, else side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._variants import agrees

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ._manifest import InputSpec, Manifest, Variant

    Arrays = dict[str, NDArray[Any]]


class Batches:
    """Runs many samples, and remembers whether the model takes them stacked.

    Args:
        manifest: the model's.
        variant: the one that runs.
        run: runs one sample, or several stacked.
        run_each: runs samples on their own.
    """

    def __init__(
        self,
        manifest: Manifest,
        variant: Variant,
        run: Callable[[Arrays], Arrays],
        run_each: Callable[[Sequence[Arrays]], list[Arrays]],
    ) -> None:
        self._run, self._run_each = run, run_each
        self._tolerance = variant.tolerance
        # None: not known yet. Some models mix what is stacked: their first axis is a sequence, not a batch.
        self._stacks = None if may_stack(manifest) else False

    def run(self, samples: Sequence[Arrays]) -> list[Arrays]:
        """The outputs of each sample, in order.

        Args:
            samples: arrays by input name.
        """
        if len(samples) < 2 or self._stacks is False or not _alike(samples):
            return self._run_each(samples)
        stacked = _split(self._run(_stacked(samples)), len(samples))
        if self._stacks is None:
            alone = self._run_each((samples[0], samples[-1]))
            self._stacks = stacked is not None and self._same((stacked[0], stacked[-1]), alone)
        return stacked if self._stacks and stacked is not None else self._run_each(samples)

    def _same(self, stacked: Sequence[Arrays], alone: Sequence[Arrays]) -> bool:
        return all(
            agrees(ours[name], array, self._tolerance[name])
            for ours, outputs in zip(stacked, alone)
            for name, array in outputs.items()
        )


def may_stack(manifest: Manifest) -> bool:
    """Whether samples may be stacked, as far as the manifest tells: no pipeline, and a free first axis everywhere."""
    if manifest.pipeline is not None or manifest.stream is not None or not manifest.inputs:
        return False
    return all(_has_batch(spec) for spec in manifest.inputs) and all(
        spec.shape and isinstance(spec.shape[0], str) for spec in manifest.outputs
    )


def counted_input(manifest: Manifest) -> str | None:
    """The input whose first axis counts the samples of a run; None where none does."""
    return manifest.inputs[0].name if may_stack(manifest) else None


def _has_batch(spec: InputSpec) -> bool:
    return spec.media is None and len(spec.shape) > 1 and isinstance(spec.shape[0], str)


def _alike(samples: Sequence[Arrays]) -> bool:
    """Whether each sample is one row of the same shape and dtype."""
    shapes = [{name: (np.shape(array), np.asarray(array).dtype) for name, array in each.items()} for each in samples]
    return all(shape == shapes[0] for shape in shapes) and all(shape[:1] == (1,) for shape, _ in shapes[0].values())


def _stacked(samples: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}


def _split(outputs: Arrays, count: int) -> list[Arrays] | None:
    """The outputs of each sample; None where they are not one a sample."""
    if any(array.shape[:1] != (count,) for array in outputs.values()):
        return None
    return [{name: array[i : i + 1] for name, array in outputs.items()} for i in range(count)]
