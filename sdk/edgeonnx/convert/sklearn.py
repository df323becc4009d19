"""scikit-learn: fitted estimators and pipelines.

The exporter is skl2onnx: https://onnx.ai/sklearn-onnx/
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeonnx.convert._columns import columns
from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.source import Array, Feeds, Source, guarded, need, release
from edgeonnx.convert.surface import named
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model
from edgeonnx.userfile import told

# That of onnxruntime 1.16, the oldest that a target has; in newer ones trees are another operator.
_ML_OPSET = 3
_ROWS = 64
# What an output of skl2onnx stands for; the first that the estimator has.
_METHODS = {
    "label": ("predict",),
    "probabilities": ("predict_proba", "decision_function"),
    "scores": ("decision_function", "transform"),
}
_OTHER = ("predict", "transform")
_NO_CONVERTER = re.compile(r"Unable to find a (?:shape calculator|converter) for (?:alias|type) '(?:<class ')?([^'>]+)")


class Estimator(Source):
    """A fitted estimator or pipeline. Rows are free; columns come in one input, or in one each where types differ.

    Args:
        estimator: scikit-learn's.
        examples: rows: an array, or arrays by input; None: made up, of what encoders were fitted on where there are.
        name: file or class, for messages.
        notes: what was noticed when it was read.

    Raises:
        ConvertError: it is no estimator, or is not fitted.
    """

    def __init__(self, estimator: Any, examples: object, name: str, notes: tuple[str, ...] = ()) -> None:
        sklearn, self._skl2onnx = need("sklearn", "sklearn", "skl2onnx")
        if not hasattr(estimator, "get_params"):
            raise ConvertError(f"{name}: expected a scikit-learn estimator, got {type(estimator).__name__}")
        with guarded(f"{name} can't be converted"):
            sklearn.utils.validation.check_is_fitted(estimator)
        self.name, self._estimator, self.notes = name, estimator, notes
        self.framework = release("scikit-learn", "scikit-learn")
        self.exporter = release("skl2onnx", "skl2onnx")
        self._outputs: list[str] = []
        given = examples if isinstance(examples, Mapping) or examples is None else {"X": np.asarray(examples)}
        self._columns = columns(estimator, given, name)
        self._examples = given
        self.inputs = tuple(column.spec for column in self._columns)

    def examples(self) -> Feeds:
        """Those given, else rows made up: see `Column.drawn`."""
        rng = np.random.default_rng(0)
        if self._examples is None:
            return {column.spec.name: column.drawn(_ROWS, rng) for column in self._columns}
        if missing := [spec.name for spec in self.inputs if spec.name not in self._examples]:
            raise ConvertError(f"{self.name}: the example inputs lack {', '.join(missing)}")
        return {column.spec.name: column.cast(self._examples[column.spec.name]) for column in self._columns}

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        types = [(column.spec.name, self._type(column.spec.dtype, column.spec.shape)) for column in self._columns]
        opsets = {"": opset, "ai.onnx.ml": _ML_OPSET}
        with guarded(f"{self.name} can't be converted", _reason):
            write = self._skl2onnx.to_onnx
            try:
                proto = write(self._estimator, initial_types=types, target_opset=opsets, options={"zipmap": False})
            except NameError:  # the estimator has no such option, and gives no map
                proto = write(self._estimator, initial_types=types, target_opset=opsets)
        model = Model.from_proto(proto)
        self._outputs = [spec.name for spec in model.outputs]
        return name_axes(named(model, [spec.name for spec in self.inputs], self._outputs, self.name), axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        rows = self._rows(feeds)
        with guarded(f"{self.name} does not take these inputs"):
            return tuple(_dense(self._method(output)(rows)) for output in self._outputs)

    def _method(self, output: str) -> Any:
        candidates = _METHODS.get(output, _OTHER)
        found = next((name for name in candidates if hasattr(self._estimator, name)), None)
        if found is None:
            raise ConvertError(f"{self.name}: expected a method among {', '.join(candidates)} for the output {output}")
        return getattr(self._estimator, found)

    def _rows(self, feeds: Feeds) -> Any:
        """Rows as the estimator takes them: an array, or a table where columns are chosen by name.

        Floats are given in 64 bits, as scikit-learn computes: some estimators refuse others than they were fitted on.
        """
        feeds = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in feeds.items()}
        if len(self.inputs) == 1:
            return feeds[self.inputs[0].name]
        if not hasattr(self._estimator, "feature_names_in_"):
            return np.concatenate([feeds[spec.name].astype(object) for spec in self.inputs], axis=1)
        (pandas,) = need("sklearn", "pandas")
        return pandas.DataFrame({spec.name: feeds[spec.name][:, 0] for spec in self.inputs})

    def _type(self, dtype: str, shape: Any) -> Any:
        kinds = self._skl2onnx.common.data_types
        found = {"float32": "Float", "int64": "Int64", "bool": "Boolean", "str": "String"}[dtype]
        return getattr(kinds, f"{found}TensorType")(list(shape))


def _dense(outputs: Any) -> Array:
    return np.asarray(outputs.toarray() if hasattr(outputs, "toarray") else outputs)


def _reason(error: BaseException) -> str:
    if lacking := _NO_CONVERTER.search(str(error)):
        return f"skl2onnx has no converter for {lacking[1]}; use an estimator that it knows, or register one"
    last = str(error).strip().splitlines()[-1:] or [""]  # it repeats all parameters of a node first
    return told(error) if len(str(error)) < 300 else f"{type(error).__name__}: {last[0]}"
