"""What samples look like at a model's inputs, as a verb meets them: through the pipeline."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from edgeonnx.baseline import Baselines
from edgeonnx.calibration.samples import Data
from edgeonnx.model import Model
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import Baseline
from edgeonnx.verbs.data import Preparation

# More say little more of a mean.
_MOST = 256


def baselines_of(prepare: Preparation, model: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> dict[str, Baseline]:
    """The baseline of each input of the bare model, from samples as the user has them."""
    seen = Baselines(model.inputs)
    for feed in feeds:
        seen.observe(prepare(feed))
    return seen.found()


def known_baselines(models: Sequence[Model], spec: PipelineSpec | None, data: Data | None) -> dict[str, Baseline]:
    """Those of the first model that quantize made, else of the first samples of `data`; none where there is neither.

    Args:
        models: forms of one model.
        spec: its pipeline.
        data: the user's samples, or None.
    """
    for model in models:
        if told := (model.record or {}).get("inputs"):
            return {name: Baseline(**fields) for name, fields in told.items()}
    if data is None:
        return {}
    prepare = Preparation(models[0], spec)
    return baselines_of(prepare, models[0], islice(prepare.open(data).feeds(), _MOST))
