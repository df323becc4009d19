"""Mean and standard deviation of features: given, or measured on each sample."""

from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import Part

Numbers = float | tuple[float, ...]


class Normalize(Part):
    """(x - mean) / std, or with a sample's own mean and variance: (x - mean) / sqrt(variance + epsilon).

    Attributes:
        mean: one number, or one a feature.
        std: one number, or one a feature.
        per: absent, `mean` and `std` are taken; `sample`: they are measured over all of a sample; `feature`: over time,
            for each feature on its own.
        epsilon: added to the measured variance.
        unbiased: the measured variance is the sum of squares divided by n - 1, not by n.
    """

    mean: Numbers = 0.0
    std: Numbers = 1.0
    per: Literal["sample", "feature"] | None = None
    epsilon: float = Field(default=1e-7, ge=0)
    unbiased: bool = False

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Normalize":
        given = {"mean", "std"} & self.model_fields_set
        if self.per is not None and given:
            raise ValueError(f"{given.pop()}: per = {self.per!r} measures it; leave one of the two out")
        if not np.all(self.std):
            raise ValueError("std: expected numbers other than 0")
        return self

    def misfit(self, features: int) -> str | None:
        """The field that does not go with so many features, and how; None if all do."""
        for name in ("mean", "std"):
            if (count := np.size(getattr(self, name))) not in (1, features):
                return f"{name}: expected 1 number or {features}, one a feature, got {count}"
        return None

    def apply(self, value: ir.Value, build: Builder) -> ir.Value:
        """Write the operators; `value` is float32 of shape (1, features, time)."""
        if self.per is not None:
            return self._measured(value, build)
        std = np.array(self.std, np.float64).reshape(-1, 1)
        shift = -np.array(self.mean, np.float64).reshape(-1, 1) / std
        if (std != 1).any():
            value = build.op("Mul", value, (1 / std).astype(np.float32))
        return build.op("Add", value, shift.astype(np.float32)) if shift.any() else value

    def _measured(self, value: ir.Value, build: Builder) -> ir.Value:
        axes = np.array([0, 1, 2] if self.per == "sample" else [2], np.int64)
        sizes = build.op("Gather", build.op("Shape", value), axes)
        count = build.cast(build.op("ReduceProd", sizes), "float32")
        mean = build.op("Div", build.op("ReduceSum", value, axes), count)
        centred = build.op("Sub", value, mean)
        if self.unbiased:
            less = build.op("Sub", count, np.array(1, np.float32))
            count = build.op("Max", less, np.array(1, np.float32))  # a single frame does not vary
        variance = build.op("Div", build.op("ReduceSum", build.op("Mul", centred, centred), axes), count)
        spread = build.op("Sqrt", build.op("Add", variance, np.array(self.epsilon, np.float32)))
        return build.op("Div", centred, spread)
