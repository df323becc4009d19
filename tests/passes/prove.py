"""What every pass promises, checked on one model."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgeonnx.model import Model
from edgeonnx.optimize.plan import with_shapes
from edgeonnx.verbs.same import difference
from tests.unit.models import operators, proto
from tests.zoo.case import with_shapes_open

TOLERANCE = 1e-5
Feeds = Mapping[str, np.ndarray]


def graph(text: str, **more) -> Model:
    """A model, its outputs of unknown rank, in ONNX's text form; weights by name."""
    return Model.from_proto(with_shapes_open(proto(text, **more)))


def prove(step: Callable[[Model], tuple[Model, int]], model: Model, *samples: Feeds, within=TOLERANCE) -> Model:
    """The model after a pass, of which it is checked that

    outputs stay equal, inputs and outputs stay as they were, the model it was given stays as it was, it comes to rest,
    and where it has nothing to do it says so and gives back the very model.
    """
    shaped = with_shapes(model)
    before = shaped.to_proto().SerializeToString()
    made, rewrites = step(shaped)
    assert shaped.to_proto().SerializeToString() == before
    assert (made is shaped) == (rewrites == 0)
    assert [str(t) for t in made.inputs] == [str(t) for t in shaped.inputs]
    assert [str(t) for t in made.outputs] == [str(t) for t in shaped.outputs]
    if samples:
        assert difference(model, made, samples).relative <= within
    again, more = step(with_shapes(made))
    assert more < rewrites or not rewrites
    assert step(with_shapes(again))[1] == 0
    return made


def left(step: Callable[[Model], tuple[Model, int]], model: Model, *samples: Feeds, within=TOLERANCE) -> Sequence[str]:
    """As `prove`; the operators there are then."""
    return operators(prove(step, model, *samples, within=within))
