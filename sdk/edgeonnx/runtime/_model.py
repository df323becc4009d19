"""The model on the device: opened once, checked on every call."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ._bundle import open_bundle
from ._errors import BundleError, InputError, first_line
from ._inputs import read_input
from ._result import Classification, check_labels, classify
from ._session import create_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Union

    import onnxruntime as ort
    from numpy.typing import NDArray

    from ._bundle import Bundle
    from ._manifest import InputSpec

    Input = Union[NDArray[Any], str, os.PathLike[str]]


def load(path: str | os.PathLike[str], *, verify: bool = True, threads: int | None = None) -> Model:
    """Open a bundle and make its session.

    Args:
        path: the `.edge` file.
        verify: check the SHA-256 of every entry; False leaves that out.
        threads: in place of the manifest's intra_op_threads; 0 leaves the number to onnxruntime. Never more are taken
            than the CPUs this process may use.

    Raises:
        BundleError: the file is not a bundle, damaged, altered, or of a newer schema.
        DeviceError: this machine lacks the onnxruntime release or a provider that the bundle asks for.
    """
    start = time.perf_counter()
    bundle = open_bundle(path, verify=verify)
    return Model(bundle, create_session(bundle, threads), start)


class Model:
    """A bundle's model, ready to run. Calls from several threads are safe, as onnxruntime's are.

    Attributes:
        manifest: the bundle's manifest, frozen.
        inputs, outputs: the manifest's specs: name, dtype, shape.
        labels: class names by index, or None.
        session: the onnxruntime.InferenceSession.
        path: the bundle's path.
        load_seconds: how long load() took, imports on first use included.
    """

    def __init__(self, bundle: Bundle, session: ort.InferenceSession, start: float) -> None:
        self.manifest = bundle.manifest
        self.inputs = bundle.manifest.inputs
        self.outputs = bundle.manifest.outputs
        self.labels = _read_labels(bundle)
        self.session = session
        self.path = bundle.path
        # run() looks at these alone: what can be worked out once is not worked out on every call.
        self._input_names = {spec.name for spec in self.inputs}
        self._output_names = [spec.name for spec in self.outputs]
        self._checks = [(spec, np.dtype(spec.dtype), _fixed(spec.shape)) for spec in self.inputs]
        self.load_seconds = time.perf_counter() - start

    def run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model on arrays, which are checked, and neither copied nor converted.

        Args:
            inputs: an array for each input by name. Dimensions that the spec names by a string may be of any size.

        Returns:
            The outputs by name. Strings come as arrays of dtype object.

        Raises:
            InputError: a name, dtype or shape differs from the spec, or onnxruntime could not run the arrays.
        """
        if not isinstance(inputs, dict):
            raise InputError(f"run() takes a dict of arrays by input name, got {type(inputs).__name__}; see model(x)")
        if inputs.keys() != self._input_names:
            raise self._names_error(inputs)
        for spec, dtype, fixed in self._checks:
            array = inputs[spec.name]
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                _check_dtype(spec, array)
            shape = array.shape
            if shape != fixed and not _fits(shape, fixed):
                raise _shape_error(spec, shape)
        try:
            values = self.session.run(self._output_names, inputs)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise InputError(f"onnxruntime could not run these inputs: {first_line(error)}") from error
        return dict(zip(self._output_names, values))

    def __call__(self, x: Input | None = None, /, **inputs: Input) -> Classification | dict[str, NDArray[Any]]:
        """Run one sample: `model(x)` where there is one input, else `model(a=..., b=...)`.

        Args:
            x: an array, the path of an `.npy` file, or that of a PNG where the input takes a picture.
            inputs: the same by input name.

        Returns:
            A Classification where the manifest's `result` says so, else the outputs by name.

        Raises:
            InputError: see `run`; or a file that can't be read.
        """
        if x is not None:
            if len(self.inputs) != 1 or inputs:
                names = ", ".join(f"{spec.name}=..." for spec in self.inputs)
                raise InputError(f"expected model({names}), got {1 + len(inputs)} inputs of which one has no name")
            inputs = {self.inputs[0].name: x}
        elif inputs.keys() != self._input_names:
            raise self._names_error(inputs)
        outputs = self.run({spec.name: _to_array(spec, inputs[spec.name]) for spec in self.inputs})
        return self.read(outputs)

    def read(self, outputs: dict[str, NDArray[Any]]) -> Classification | dict[str, NDArray[Any]]:
        """What `run` gave for one sample, read as the manifest's `result` says; as it is where that says nothing.

        Raises:
            InputError: a classification's outputs are of several samples, or hold NaN.
        """
        result = self.manifest.result
        return outputs if result is None else classify(outputs, result, self.labels)

    def __repr__(self) -> str:
        return f"<edgeonnx_runtime.Model {self.manifest.name} {self.manifest.version} for {self.manifest.target}>"

    def _names_error(self, inputs: Mapping[str, object]) -> InputError:
        expected = ", ".join(spec.name for spec in self.inputs) or "none"
        return InputError(f"expected the inputs {expected}; got {', '.join(map(str, inputs)) or 'none'}")


def _read_labels(bundle: Bundle) -> tuple[str, ...] | None:
    result = bundle.manifest.result
    if result is None or result.labels is None:
        return None
    try:
        lines = bundle.read(result.labels).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BundleError(f"{bundle.name}: {result.labels} is not UTF-8: {error}") from error
    labels = tuple(line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1]))
    classes = next(spec.shape[-1:] for spec in bundle.manifest.outputs if spec.name == result.output)
    if classes and isinstance(classes[0], int):
        check_labels(labels, classes[0], result.output)
    return labels


def _to_array(spec: InputSpec, value: Input) -> NDArray[Any]:
    return read_input(spec, value) if isinstance(value, (str, os.PathLike)) else value


def _fixed(shape: tuple[int | str, ...]) -> tuple[int | None, ...]:
    """The shape with None for free dimensions."""
    return tuple(None if isinstance(size, str) else size for size in shape)


def _fits(shape: tuple[int, ...], fixed: tuple[int | None, ...]) -> bool:
    if len(shape) != len(fixed):
        return False
    return all(expected is None or got == expected for got, expected in zip(shape, fixed))


def _check_dtype(spec: InputSpec, array: object) -> None:
    """Raises InputError for what is not an array of the spec's dtype. Strings have many dtypes, and pass."""
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"input {spec.name}: expected a numpy array of {spec.dtype}, got {type(array).__name__}; "
            f'np.asarray(x, dtype="{spec.dtype}") makes one'
        )
    if spec.dtype == "str" and array.dtype.kind == "U" and array.dtype.isnative:
        return
    # onnxruntime would turn None into "None".
    if spec.dtype == "str" and array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        return
    raise InputError(
        f'input {spec.name}: expected {spec.dtype}, got {array.dtype}; x.astype("{spec.dtype}") converts it'
    )


def _shape_error(spec: InputSpec, shape: tuple[int, ...]) -> InputError:
    expected = ", ".join(map(str, spec.shape))
    message = f"input {spec.name}: expected shape ({expected}), got ({', '.join(map(str, shape))})"
    return InputError(message + ("; x[None] adds the first axis" if _fits((1, *shape), _fixed(spec.shape)) else ""))
