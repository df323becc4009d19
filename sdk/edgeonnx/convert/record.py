"""What a model says of its conversion, in its metadata: beside the record of a quantization, which is another."""

import json
from collections.abc import Mapping
from typing import Any

from edgeonnx.model import Model

_KEY = "edgeonnx.conversion"


def conversion_of(model: Model) -> dict[str, Any] | None:
    """What `edgeonnx convert` wrote into a model; None for any other model."""
    text = model.ir.metadata_props.get(_KEY)
    try:
        return None if text is None else dict(json.loads(text))
    except (ValueError, TypeError):
        return None


def with_conversion(model: Model, conversion: Mapping[str, Any]) -> Model:
    """A copy that carries what became of it when it was converted."""
    copy = model.copy()
    copy.ir.metadata_props[_KEY] = json.dumps(conversion, sort_keys=True)
    return copy
