"""A sample as a caller has it, as arrays by input name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import InputError
from ._inputs import as_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ._manifest import InputSpec


class Samples:
    """What a model's inputs can be read from.

    Args:
        specs: the manifest's inputs.
    """

    def __init__(self, specs: Sequence[InputSpec]) -> None:
        self._specs = specs
        self._names = {spec.name for spec in specs}
        self._tables = any(spec.media is not None and spec.media.type == "table" for spec in specs)

    def arrays(self, sample: Any) -> dict[str, NDArray[Any]]:
        """The arrays of a sample.

        Args:
            sample: one input's value, where there is one; a row of a table, as a mapping or a file; or values by name.

        Raises:
            InputError: names that differ from the inputs', or a file that can't be read.
        """
        if self._tables and not isinstance(sample, np.ndarray):
            sample = self._row(sample)
        if not isinstance(sample, Mapping):
            if len(self._specs) != 1:
                raise InputError(f"expected model({self.usage()}), got 1 inputs of which one has no name")
            sample = {self._specs[0].name: sample}
        if sample.keys() != self._names:
            raise names_error(self._specs, sample)
        return {spec.name: as_array(spec, sample[spec.name]) for spec in self._specs}

    def usage(self) -> str:
        """How inputs are given by name."""
        return ", ".join(f"{spec.name}=..." for spec in self._specs)

    def _row(self, sample: Any) -> Any:
        """The inputs that a row of a table becomes; what is no row stays as it is."""
        from ._table import read_row, row

        if not isinstance(sample, Mapping):
            return read_row(sample, self._specs)
        return sample if sample.keys() == self._names else row(self._specs, sample)


def all_arrays(values: Iterable[Any]) -> bool:
    """Whether there is nothing to read."""
    return all(isinstance(value, np.ndarray) for value in values)


def names_error(specs: Sequence[InputSpec], given: Mapping[str, object]) -> InputError:
    """For inputs of other names."""
    expected = ", ".join(spec.name for spec in specs) or "none"
    return InputError(f"expected the inputs {expected}; got {', '.join(map(str, given)) or 'none'}")
