"""Data as a verb meets it: samples in the user's form, turned into the model's inputs by the declared pipeline."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from edgeonnx.calibration.samples import Data, Samples, open_samples
from edgeonnx.errors import DataError, ModelError
from edgeonnx.model import Model, first_line
from edgeonnx.pipeline.decode import read_picture
from edgeonnx.pipeline.graph import picture_specs, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline

Feeds = dict[str, np.ndarray]
Predict = Callable[[Feeds], dict[str, np.ndarray]]


class Preparation:
    """From a user's sample to the feeds of the bare model: nothing at all, or the declared preprocessing.

    Args:
        model: the model as the user gave it.
        spec: its pipeline, if there is one.
        skip_bad: pass over samples that can't be read or used.

    Raises:
        PipelineError: the spec does not fit the model.
    """

    def __init__(self, model: Model, spec: PipelineSpec | None, skip_bad: bool = False) -> None:
        self._skip_bad = skip_bad
        self._images = {name: image.color for name, image in spec.input.items()} if spec else {}
        self._inputs = picture_specs(model, spec) if spec else model.inputs
        self._session = preprocessing(model, spec).session() if spec and spec.input else None
        self._names = [tensor.name for tensor in model.inputs]

    def open(self, data: Data) -> Samples:
        """Samples in the user's form.

        Raises:
            DataError: they can't be read or don't fit.
        """
        return open_samples(data, self._inputs, self._images, read_picture, self._skip_bad)

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> Feeds:
        """One sample's feeds for the bare model.

        Raises:
            DataError: the preprocessing does not take this sample.
        """
        if self._session is None:
            return dict(feeds)
        try:
            return dict(zip(self._names, self._session.run(None, dict(feeds)), strict=True))
        except Exception as error:  # onnxruntime's exception types are private and many
            raise DataError(f"a sample does not fit the pipeline: {first_line(error)}") from error


def predictor(model: Model, prepare: Preparation) -> Predict:
    """The model as a function of a user's sample: prepared, run, outputs by name."""
    session = model.session()
    names = [tensor.name for tensor in model.outputs]

    def predict(feeds: Feeds) -> dict[str, np.ndarray]:
        prepared = prepare(feeds)
        try:
            outputs = session.run(names, prepared)
        except Exception as error:  # onnxruntime's exception types are private and many
            raise ModelError(f"the model does not run on a sample: {first_line(error)}") from error
        return dict(zip(names, outputs, strict=True))

    return predict


def as_model(model: str | Path | Model) -> Model:
    """A model given as itself or by its path."""
    return model if isinstance(model, Model) else Model.load(model)


def as_pipeline(pipeline: str | Path | PipelineSpec | None) -> PipelineSpec | None:
    """A pipeline given as itself or by its path."""
    return load_pipeline(pipeline) if isinstance(pipeline, (str, Path)) else pipeline
