"""Runs the golden samples and compares the outputs with those of the machine the bundle was made on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._bundle import Bundle, open_bundle
from ._errors import BundleError, InputError, SelftestError
from ._inputs import Sample, parse_npy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._manifest import Tolerance, Variant
    from ._model import Model


class OutputReport(NamedTuple):
    """One output over all golden samples.

    Attributes:
        name: the output's.
        difference: `abs(got - expected)` at the element that is nearest to its tolerance, or furthest beyond it;
            infinite for another shape, dtype or string, or where one of the two is not finite.
        allowed: the tolerance of that element, `atol + rtol * abs(expected)`.
        sample: the golden sample which that element is of.
        ok: whether every element of every sample is within its tolerance.
    """

    name: str
    difference: float
    allowed: float
    sample: int
    ok: bool


class SelftestReport(NamedTuple):
    """The number of golden samples and a report for each output."""

    samples: int
    outputs: tuple[OutputReport, ...]

    @property
    def ok(self) -> bool:
        """Whether every output is within its tolerance."""
        return all(output.ok for output in self.outputs)


def selftest(model: Model) -> SelftestReport:
    """Run the golden samples.

    Raises:
        SelftestError: an output differs by more than its tolerance.
        BundleError: the bundle holds no golden samples, or was damaged since it was loaded.
    """
    report = compare_golden(model)
    for output in report.outputs:
        if not output.ok:
            raise SelftestError(
                f"{output.name} differs in golden sample {output.sample}: expected a difference of at most "
                f"{output.allowed:.3g}, got {output.difference:.3g}; package for this device, or compare its "
                f"onnxruntime with the {model.manifest.onnxruntime.tested} that the samples were made with"
            )
    return report


def compare_golden(model: Model) -> SelftestReport:
    """As `selftest`, with the verdict left to the caller."""
    bundle = open_bundle(model.path)
    samples = require_golden(bundle)
    worst: dict[str, OutputReport] = {}
    for i in range(samples):
        outputs = model.run(golden_inputs(bundle, i).inputs)
        for spec, expected in zip(model.outputs, golden_outputs(bundle, i, model.variant)):
            difference, allowed = worst_element(outputs[spec.name], expected, model.variant.tolerance[spec.name])
            report = OutputReport(spec.name, difference, allowed, i, difference <= allowed)
            if i == 0 or difference - allowed > worst[spec.name].difference - worst[spec.name].allowed:
                worst[spec.name] = report
    return SelftestReport(samples, tuple(worst.values()))


def require_golden(bundle: Bundle) -> int:
    """The number of golden samples. Raises BundleError when there are none."""
    samples = bundle.manifest.golden.samples
    if not samples:
        raise BundleError(f"{bundle.name}: there are no golden samples; package the model with calibration data")
    return samples


def golden_inputs(bundle: Bundle, i: int) -> Sample:
    """The inputs of golden sample `i`. Raises BundleError when they are not in the bundle."""
    specs = bundle.manifest.inputs
    arrays = _arrays(bundle, f"golden/{i}/input", len(specs))
    return Sample(f"golden/{i}", {spec.name: array for spec, array in zip(specs, arrays)})


def golden_outputs(bundle: Bundle, i: int, variant: Variant) -> list[NDArray[Any]]:
    """What a variant gives for golden sample `i`, in the manifest's order. Raises BundleError as `golden_inputs`."""
    return _arrays(bundle, f"golden/{i}/{variant.name}/output", len(bundle.manifest.outputs))


def first_inputs(model: Model) -> dict[str, NDArray[Any]]:
    """The inputs of the first golden sample; where there is none, zeros, and 1 for each free dimension."""
    bundle = open_bundle(model.path)
    if bundle.manifest.golden.samples:
        return golden_inputs(bundle, 0).inputs
    found = {}
    for spec in model.inputs:
        shape = tuple(1 if isinstance(size, str) else size for size in spec.shape)
        found[spec.name] = np.zeros(shape, object if spec.dtype == "str" else spec.dtype)
        if spec.dtype == "str":
            found[spec.name].fill("")
    return found


def worst_element(got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance) -> tuple[float, float]:
    """The difference and the tolerance at the element nearest to its tolerance, or furthest beyond it.

    NaN equals NaN and infinity equals infinity of the same sign; either differs infinitely from anything else.
    """
    kinds = (got.dtype, expected.dtype)
    both_text = all(kind.kind in "OU" for kind in kinds)
    if got.shape != expected.shape or (kinds[0] != kinds[1] and not both_text):
        return np.inf, tolerance.atol
    if not got.size:
        return 0.0, tolerance.atol
    if both_text:
        return (0.0 if (got.astype(str) == expected.astype(str)).all() else np.inf), tolerance.atol
    same = (got == expected) | ((got != got) & (expected != expected))  # noqa: PLR0124  NaN is what differs from itself
    with np.errstate(invalid="ignore"):
        difference = abs(got.astype(np.float64) - expected.astype(np.float64))
        allowed = tolerance.atol + tolerance.rtol * abs(expected.astype(np.float64))
    difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    if got.dtype.kind in "iu":  # integers so large that float64 holds them equal
        difference = np.where(same, 0.0, np.maximum(difference, 1.0))
    allowed = np.where(np.isfinite(expected), allowed, tolerance.atol)
    worst = np.argmax(difference - allowed)
    return float(difference.flat[worst]), float(allowed.flat[worst])


def _arrays(bundle: Bundle, prefix: str, count: int) -> list[NDArray[Any]]:
    arrays = []
    for j in range(count):
        name = f"{prefix}{j}.npy"
        try:
            arrays.append(parse_npy(bundle.read(name), name))
        except InputError as error:  # here the caller gave nothing: the bundle is wrong
            raise BundleError(f"{bundle.name}: {error}; package the model again") from error
    return arrays
