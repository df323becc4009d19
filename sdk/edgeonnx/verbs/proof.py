"""What a target's own provider gives for the golden samples, where it runs here: near the CPU's, or no bundle."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeonnx.bundle.golden import Golden
from edgeonnx.errors import TargetError
from edgeonnx.model import Model
from edgeonnx.providers import Runner
from edgeonnx.runtime._manifest import Tolerance
from edgeonnx.targets import Target
from edgeonnx.verbs.provider import CPU, runner_for
from edgeonnx.verbs.variants import Shipped

# As a share of the CPU's outputs, root mean square: what differs by more is another function.
_ANOTHER = 0.5


def proven(one: Shipped, profile: Target, python: Path | None = None) -> Shipped:
    """A variant with the golden outputs of the provider that will run it; with those of the CPU where it is not here.

    Args:
        one: with the CPU's golden outputs.
        profile: the target.
        python: an interpreter that has the target's provider; None: look for one.

    Raises:
        TargetError: the provider fails, or gives something else than the CPU.
    """
    provider = profile.providers[0].name
    if provider == CPU or profile.compilation is not None:
        return one
    runner, why = runner_for(profile, python)
    if runner is None:
        note = f"golden outputs are those of the CPU provider, {provider} may be further from them than allowed: {why}"
        return replace(one, notes=(*one.notes, note))
    with closing(runner):
        golden, far = golden_there(one.model, one.golden, runner, profile.name)
    note = f"outputs on {provider} {far:.2%} off the CPU's"
    return replace(one, golden=golden, info=one.info._replace(tolerance=golden.tolerance), notes=(*one.notes, note))


def golden_there(model: Model, cpu: Golden, runner: Runner, target: str) -> tuple[Golden, float]:
    """The samples with a provider's outputs, and how far these are from the CPU's: see `_distance`.

    A device may be twice as far from them as they are from the CPU's.

    Args:
        model: as it goes into the bundle, or its compiled form.
        cpu: the samples with the CPU's outputs.
        runner: of the provider.
        target: its profile's name, for messages.

    Raises:
        TargetError: the outputs are not the CPU's.
    """
    names, outputs = ([tensor.name for tensor in side] for side in (model.inputs, model.outputs))
    samples = []
    predict = runner.load(model)
    for arrays, _ in cpu.samples:
        found = predict(dict(zip(names, arrays, strict=True)))
        samples.append((arrays, tuple(found[name] for name in outputs)))
    golden = replace(cpu, samples=tuple(samples))
    largest, share = _distance(golden, cpu)
    if share > _ANOTHER:
        raise TargetError(
            f"{target}: expected its provider's outputs within {_ANOTHER:.0%} of the CPU's, got {share:.0%}; "
            "give --data that the model knows, or quantize it for this target"
        )
    wide = {name: Tolerance(max(t.atol, 2 * largest.get(name, 0.0)), t.rtol) for name, t in cpu.tolerance.items()}
    return replace(golden, tolerance=wide), share


def _distance(one: Golden, other: Golden) -> tuple[dict[str, float], float]:
    """The largest difference in each float output; and the root mean square of all, as a share of the other's."""
    largest: dict[str, float] = {}
    noise = power = 0.0
    for (_, got), (_, expected) in zip(one.samples, other.samples, strict=True):
        for name, first, second in zip(other.tolerance, got, expected, strict=True):
            if second.dtype.kind == "f":
                wide = second.astype(np.float64)
                difference = np.abs(first.astype(np.float64) - wide)
                largest[name] = max(largest.get(name, 0.0), float(difference.max(initial=0.0)))
                noise, power = noise + float((difference**2).sum()), power + float((wide**2).sum())
    return largest, (noise / power) ** 0.5 if power else 0.0
