"""scikit-learn: fitted estimators and pipelines.

The exporter is skl2onnx: https://onnx.ai/sklearn-onnx/
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgeonnx.convert._columns import columns
from edgeonnx.convert._texts import portable
from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.source import Array, Feeds, Source, guarded, need, release
from edgeonnx.convert.surface import named, refuse_foreign
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
_PROBABILITIES, _SCORES = "probabilities", "scores"
# What skl2onnx says of settings, and what mends it.
_HINTS = {
    "flatten_transform==True": "VotingClassifier with flatten_transform=True has no form in ONNX; set it to False",
    "onehot encoding not supported": "KBinsDiscretizer gives sparse columns; set encode='onehot-dense'",
    "FunctionTransformer is not supported": "FunctionTransformer calls a function of your own, which skl2onnx can't "
    "read; compute it before the model",
}


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
        self._raw = False
        given = _given(examples)
        self.drawn = given is None
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
            proto = self._proto(initial_types=types, target_opset=opsets)
        model = Model.from_proto(proto)
        portable(model, self._estimator)
        refuse_foreign(model, self.name)
        self._outputs = [spec.name for spec in model.outputs]
        names = _apart(model)
        names = [_SCORES if name == _PROBABILITIES and self._scored else name for name in names]
        return name_axes(named(model, [spec.name for spec in self.inputs], names, self.name), axes)

    def _proto(self, **settings: Any) -> Any:
        """What skl2onnx writes, with as many of its options as the estimator has: without maps, scores as they are."""
        last = self._estimator
        while hasattr(last, "steps") or hasattr(last, "best_estimator_"):
            last = last.steps[-1][1] if hasattr(last, "steps") else last.best_estimator_
        plain: dict[Any, Any] = {"zipmap": False}
        raw: list[dict[Any, Any]] = [{id(last): {"raw_scores": True, **more}} for more in (plain, {})]
        for options in (*(raw if self._scored else ()), plain, None):
            self._raw = options in raw
            try:
                return self._skl2onnx.to_onnx(self._estimator, options=options, **settings)
            except NameError:  # the estimator has no such option
                if options is None:
                    raise
        raise AssertionError("the last try has no options")

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        rows = self._rows(feeds)
        with guarded(f"{self.name} does not take these inputs"):
            found = [(output, self._method(output)(rows)) for output in self._outputs]
        return tuple(array for output, outputs in found for array in self._arrays(output, outputs))

    @property
    def _scored(self) -> bool:
        """Whether it gives scores where others give probabilities."""
        return not hasattr(self._estimator, "predict_proba") and hasattr(self._estimator, "decision_function")

    def _arrays(self, output: str, outputs: Any) -> list[Array]:
        """An output as arrays: one for each target where it is a list of them, two columns where scores are of two."""
        if isinstance(outputs, list):
            return [_dense(one) for one in outputs]
        dense = _dense(outputs)
        if output == _PROBABILITIES and dense.ndim == 1 and self._raw:
            dense = np.stack([-dense, dense], axis=1)
        return [dense]

    def _method(self, output: str) -> Any:
        candidates = _METHODS.get(output, _OTHER)
        found = next((name for name in candidates if hasattr(self._estimator, name)), None)
        if found is None:
            raise ConvertError(f"{self.name}: expected a method among {', '.join(candidates)} for the output {output}")
        return getattr(self._estimator, found)

    def _rows(self, feeds: Feeds) -> Any:
        """Rows as the estimator takes them: texts, an array, or a table where columns are chosen by name.

        Floats are given in 64 bits, as scikit-learn computes: some estimators refuse others than they were fitted on.
        """
        feeds = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in feeds.items()}
        if len(self.inputs) == 1:
            rows = feeds[self.inputs[0].name]
            return rows if hasattr(self._estimator, "n_features_in_") or rows.dtype.kind != "O" else rows[:, 0]
        if not hasattr(self._estimator, "feature_names_in_"):
            return np.concatenate([feeds[spec.name].astype(object) for spec in self.inputs], axis=1)
        (pandas,) = need("sklearn", "pandas")
        return pandas.DataFrame({spec.name: feeds[spec.name][:, 0] for spec in self.inputs})

    def _type(self, dtype: str, shape: Any) -> Any:
        kinds = self._skl2onnx.common.data_types
        found = {"float32": "Float", "int64": "Int64", "bool": "Boolean", "str": "String"}[dtype]
        return getattr(kinds, f"{found}TensorType")(list(shape))


def _given(examples: Any) -> Mapping[str, Any] | None:
    """Examples by input: rows in an array or as the one argument of a call, or a table."""
    if isinstance(examples, (tuple, list)) and len(examples) == 1:
        return _given(examples[0])
    if hasattr(examples, "columns"):
        return {str(label): examples[label].to_numpy() for label in examples.columns}
    return examples if isinstance(examples, Mapping) or examples is None else {"X": np.asarray(examples)}


def _apart(model: Model) -> list[str]:
    """Make a list of outputs, which no runtime of devices takes, one output each. Returns their names."""
    graph, names = model.ir.graph, list[str]()
    for value in list(graph.outputs):
        node = value.producer()
        if node is None or node.op_type != "SequenceConstruct" or not isinstance(value.type, ir.SequenceType):
            names.append(str(value.name))
            continue
        elements = [one for one in node.inputs if one is not None]
        for one in elements:
            one.type, one.shape = value.type.elem_type, ir.Shape([None, None])
        place = graph.outputs.index(value)
        graph.outputs[place : place + 1] = elements
        graph.remove(node, safe=True)
        names += [f"{value.name}_{index}" for index in range(len(elements))]
    return names


def _dense(outputs: Any) -> Array:
    return np.asarray(outputs.toarray() if hasattr(outputs, "toarray") else outputs)


def _reason(error: BaseException) -> str:
    if lacking := _NO_CONVERTER.search(str(error)):
        return (
            f"skl2onnx has no converter for {lacking[1]}; use an estimator that it knows, or register one in FUNC: see "
            "docs/convert.md"
        )
    for said, hint in _HINTS.items():
        if said in str(error):
            return hint
    last = str(error).strip().splitlines()[-1:] or [""]  # it repeats all parameters of a node first
    return told(error) if len(str(error)) < 300 else f"{type(error).__name__}: {last[0]}"
