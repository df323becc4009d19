"""What the bundle says of its outputs: class names, and how to read the scores."""

from collections.abc import Sequence
from pathlib import Path

from edgeonnx.bundle.archive import LABELS
from edgeonnx.errors import InputError
from edgeonnx.model import Model
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import Result


def read_labels(labels: str | Path | Sequence[str] | None) -> list[str]:
    """Class names given as such, or as a file with one a line.

    Raises:
        InputError: the file can't be read, or names none.
    """
    if labels is None:
        return []
    if not isinstance(labels, (str, Path)):
        return [str(label) for label in labels]
    try:
        names = [line.strip() for line in Path(labels).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels {labels} can't be read: {error}; expected UTF-8 text, one name a line") from error
    if not names:
        raise InputError(f"labels {labels}: expected one name a line, got no names")
    return names


def read_result(core: Model, joined: Model, spec: PipelineSpec | None, labels: list[str]) -> Result | None:
    """How to read the outputs. Labels alone make a classifier of a model with one output.

    Args:
        core: the model proper.
        joined: with its pipeline.
        spec: the pipeline.
        labels: class names, none where they are not known.

    Raises:
        InputError: labels for a model whose classes are not known, or are others in number.
    """
    output = spec.output if spec else None
    if output is not None:
        result, count = output.result(core.outputs), output.class_count(core.outputs)
    elif not labels:
        return None
    elif len(joined.outputs) == 1:
        scores = joined.outputs[0]
        classes = scores.shape[-1] if scores.shape else None
        count = classes if isinstance(classes, int) else None
        result = Result("classification", {"scores": scores.name}, top_k=5)
    else:
        raise InputError("labels: the model has several outputs; say which holds the scores in a pipeline's [output]")
    if labels and count is not None and count != len(labels):
        outputs = ", ".join(map(str, joined.outputs))
        raise InputError(f"labels: expected {count}, one for each class of {outputs}; got {len(labels)}")
    return result._replace(labels=LABELS if labels else None) if result else None
