"""The axes of a model's audio input, by letters: N batch, C channel, F features, T time."""

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder

_END = np.iinfo(np.int64).max

_WAVEFORMS = {1: "T", 2: "NT", 3: "NCT"}
_FEATURES = {2: "FT", 3: "NFT", 4: "NCFT"}


def axes(where: str, tensor: TensorSpec, layout: str | None, features: int | None) -> dict[str, int | str | None]:
    """Letter of each axis -> its size in the model.

    Args:
        where: begins the error.
        tensor: the model's input.
        layout: as in the spec; None: as usual for the rank.
        features: size of F; None for a waveform.

    Raises:
        PipelineError: another rank; or a batch, channel or feature axis of another size.
    """
    usual = _WAVEFORMS if features is None else _FEATURES
    rank = None if tensor.shape is None else len(tensor.shape)
    letters = layout or (usual.get(rank) if rank else None)
    if letters is None:
        what = "a waveform" if features is None else "a spectrogram"
        ranks = f"{min(usual)} to {max(usual)} axes"
        raise PipelineError(f"{where}: {what} becomes an input of {ranks}, or say layout; the model has {tensor}")
    if tensor.shape is None or len(letters) != rank:
        raise PipelineError(f"{where}.layout: {letters} is of {len(letters)} axes, the model has {tensor}")
    sizes = dict(zip(letters, tensor.shape, strict=True))
    for letter, given in {"N": 1, "C": 1, "F": features}.items():
        wanted = sizes.get(letter)
        if isinstance(wanted, int) and wanted != given:
            raise PipelineError(f"{where}: layout {letters}: expected {wanted} as {letter}, got {given} ({tensor})")
    return sizes


def arrange(value: ir.Value, letters: str, build: Builder) -> ir.Value:
    """`value`, of shape (1, features, time) where there are features, (1, 1, time) where not, with these axes."""
    if "F" in letters:
        if letters.index("T") < letters.index("F"):
            value = build.op("Transpose", value, perm=[0, 2, 1])
        own = "N" + "".join(letter for letter in letters if letter in "FT")
    else:
        value, own = build.op("Squeeze", value, np.array([1], np.int64)), "NT"
    if "N" not in letters:
        value, own = build.op("Squeeze", value, np.array([0], np.int64)), own[1:]
    added = [axis for axis, letter in enumerate(letters) if letter not in own]
    return build.op("Unsqueeze", value, np.array(added, np.int64)) if added else value


def cut(value: ir.Value, start: int | ir.Value, stop: int | ir.Value | None, build: Builder, axis: int = 2) -> ir.Value:
    """`value[..., start:stop]` on one axis: by default time, of a waveform or of features."""
    ends = [_END if end is None else end for end in (start, stop)]
    operands = [end if isinstance(end, ir.Value) else np.array([end], np.int64) for end in ends]
    return build.op("Slice", value, *operands, np.array([axis], np.int64))


def length(value: ir.Value, build: Builder) -> ir.Value:
    """Size of the last axis of three: int64, shape (1,)."""
    return cut(build.op("Shape", value), 2, 3, build, axis=0)
