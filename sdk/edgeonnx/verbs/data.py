"""Data as a verb meets it: samples in the user's form become feeds, outputs results, by the declared pipeline."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from edgeonnx.calibration.samples import Data, Samples, open_samples
from edgeonnx.errors import DataError, ModelError, first_line
from edgeonnx.model import Model, explained
from edgeonnx.pipeline.graph import entries, postprocessing, preprocessing
from edgeonnx.pipeline.part import Entry
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline
from edgeonnx.verbs.readers import readers

Feeds = dict[str, np.ndarray]
Predict = Callable[[Feeds], Feeds]


class Preparation:
    """From a user's sample to the feeds of the bare model, and from its outputs to results: what the pipeline declares.

    Args:
        model: the model as the user gave it.
        spec: its pipeline, if there is one.
        skip_bad: pass over samples that can't be read or used.

    Raises:
        PipelineError: the spec does not fit the model.
    """

    def __init__(self, model: Model, spec: PipelineSpec | None, skip_bad: bool = False) -> None:
        self._skip_bad = skip_bad
        self._entries = entries(model, spec)
        self._before = preprocessing(model, spec).session() if spec and spec.input else None
        self._names = [tensor.name for tensor in model.inputs]
        self._after = postprocessing(model, spec).session() if spec and spec.output else None

    def open(self, data: Data) -> Samples:
        """Samples in the user's form.

        Raises:
            DataError: they can't be read or don't fit.
        """
        return open_entries(data, self._entries, self._skip_bad)

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> Feeds:
        """One sample's feeds for the bare model.

        Raises:
            DataError: the preprocessing does not take this sample.
        """
        return self.noted(feeds)[0]

    def noted(self, feeds: Mapping[str, np.ndarray]) -> tuple[Feeds, Feeds]:
        """As a call, and what preprocessing notes down for `finish`."""
        if self._before is None:
            return dict(feeds), {}
        try:
            found = _run(self._before, feeds)
        except Exception as error:  # onnxruntime's exception types are private and many
            raise DataError(f"a sample does not fit the pipeline: {first_line(error)}") from error
        prepared = {name: found.pop(f"{name}.prepared") for name in self._names}
        return prepared, found

    def finish(self, outputs: Mapping[str, np.ndarray], notes: Mapping[str, np.ndarray]) -> Feeds:
        """The results as the joined model gives them, and beside them the model's own outputs.

        A result that takes the name of an output comes in its place.

        Raises:
            ModelError: the postprocessing does not take these outputs.
        """
        if self._after is None:
            return dict(outputs)
        try:
            results = _run(self._after, {**outputs, **notes})
        except Exception as error:  # onnxruntime's exception types are private and many
            raise ModelError(f"the model's outputs do not fit the pipeline: {first_line(error)}") from error
        return {**outputs, **{name: array for name, array in results.items() if not name.endswith(".passed")}}


def predictor(
    model: Model, prepare: Preparation, finished: bool = False, load: Callable[[Model], Predict] | None = None
) -> Predict:
    """The model as a function of a user's sample: prepared, run, outputs by name.

    Args:
        model: the one `prepare` was made for, or a quantized form of it.
        prepare: its pre- and postprocessing.
        finished: give results too: see `Preparation.finish`.
        load: makes a function of a model's feeds; None: on the CPU provider, here.
    """
    run = load(model) if load else _here(model)

    def predict(feeds: Feeds) -> Feeds:
        prepared, notes = prepare.noted(feeds)
        try:
            outputs = run(prepared)
        except Exception as error:  # onnxruntime's exception types are private and many
            raise ModelError(f"the model does not run on a sample: {explained(error)}") from error
        return prepare.finish(outputs, notes) if finished else outputs

    return predict


def _here(model: Model) -> Predict:
    session = model.session()
    return lambda feeds: _run(session, feeds)


def _run(session: ort.InferenceSession, feeds: Mapping[str, np.ndarray]) -> Feeds:
    """Outputs by name, of the feeds that the session takes."""
    taken = {value.name: feeds[value.name] for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, taken), strict=True))


def open_entries(data: Data, declared: Sequence[Entry], skip_bad: bool = False) -> Samples:
    """Samples for what a pipeline takes.

    Raises:
        DataError: they can't be read or don't fit.
    """
    missing = [entry.spec.name for entry in declared if entry.missing]
    return open_samples(data, [entry.spec for entry in declared], readers(declared), skip_bad, missing)


def as_model(model: str | Path | Model) -> Model:
    """A model given as itself or by its path."""
    return model if isinstance(model, Model) else Model.load(model)


def as_pipeline(pipeline: str | Path | PipelineSpec | None) -> PipelineSpec | None:
    """A pipeline given as itself or by its path."""
    return load_pipeline(pipeline) if isinstance(pipeline, (str, Path)) else pipeline
