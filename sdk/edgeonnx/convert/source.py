"""The interface of sources: a model of another framework, which can be run there and written as ONNX."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeonnx.convert.axes import Axes
from edgeonnx.errors import ConvertError, EdgeonnxError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.quiet import quiet
from edgeonnx.userfile import told

# All exporters write it natively, and onnxruntime loads it since 1.14.
OPSET = 18
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONG = 400

Array = NDArray[Any]
Feeds = dict[str, Array]


class Source(ABC):
    """A model of another framework, opened.

    Attributes:
        name: file or class, for messages.
        framework: what it runs in, with its release: `PyTorch 2.13.0`.
        exporter: what writes it as ONNX, with its release; None where it is ONNX already.
        inputs: what it takes; a free axis has a name or None.
        opset: what to write where none is asked for.
        steps: how many steps of its quantization an output may be off: 0, or 1 where the source computes in 8 bits.
        notes: what its user should know, a sentence each.
        drawn: whether `examples` were made up here.
        caveat: what is known of it that makes outputs differ, for messages; empty where nothing is.
    """

    name: str
    framework: str
    exporter: str | None
    inputs: tuple[TensorSpec, ...]
    opset: int = OPSET
    steps: int = 0
    notes: tuple[str, ...] = ()
    drawn: bool = False
    caveat: str = ""

    def examples(self) -> Feeds | None:
        """The inputs that came with it, by name; None where none did."""
        return None

    @abstractmethod
    def export(self, opset: int, axes: Axes) -> Model:
        """The model as ONNX: inputs named as `inputs` are and in their order, the named axes free.

        Raises:
            ConvertError: the exporter has no form for it.
        """

    @abstractmethod
    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """What the framework gives for these inputs, in the order of the exported outputs.

        Raises:
            ConvertError: the model does not take them.
        """

    def elsewhere(self, _feeds: Feeds) -> tuple[Array, ...] | None:
        """What other kernels of the framework give for these inputs; None where it has one set of them."""
        return None


def need(extra: str, *modules: str) -> tuple[ModuleType, ...]:
    """Import what a source is opened with.

    Args:
        extra: of edgeonnx, that brings it along.
        modules: names of modules.

    Raises:
        ConvertError: one is not installed; the message says how to.
    """
    with quiet():
        try:
            return tuple(import_module(name) for name in modules)
        except ImportError as error:
            lacking = (error.name or modules[0]).partition(".")[0]
            message = f"this source needs {lacking}, which is not installed: pip install 'edgeonnx[{extra}]'"
            if lacking not in {name.partition(".")[0] for name in modules}:
                message = f"{', '.join(modules)} can't be imported: {told(error)}"
            raise ConvertError(message) from error


def release(label: str, *distributions: str) -> str:
    """A label with the release of the first of these that is installed: `tf2onnx 1.17.0`."""
    for name in distributions:
        try:
            return f"{label} {version(name)}"
        except PackageNotFoundError:
            continue
    return label


@contextmanager
def guarded(what: str, explain: Callable[[BaseException], str] = told) -> Iterator[None]:
    """Silence a framework, and turn whatever it raises into one line.

    Args:
        what: was tried, to begin the line.
        explain: an exception -> the rest of the line.

    Raises:
        ConvertError: the framework raised.
    """
    with quiet():
        try:
            yield
        except (EdgeonnxError, KeyboardInterrupt):
            raise
        except BaseException as error:  # frameworks raise what they like, SystemExit included
            raise ConvertError(f"{what}: {_plain(explain(error))}") from error


def by_name(arrays: Mapping[str, Any]) -> Feeds:
    """Arrays of any framework as numpy's, in this machine's memory."""
    return {name: np.asarray(array) for name, array in arrays.items()}


def _plain(text: str) -> str:
    """Without colours, and cut where it fills more than a few lines."""
    text = _COLOUR.sub("", text)
    return text if len(text) <= _LONG else f"{text[:_LONG].rpartition(' ')[0]} ..."
