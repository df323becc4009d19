"""Weights in a file beside the model: where they must be, since a protobuf message ends at 2 GiB, or were put."""

import tempfile
from pathlib import Path

import onnx_ir as ir

from edgeonnx.errors import ModelError
from edgeonnx.files import replacing


def all_weights(model: ir.Model) -> list[ir.TensorProtocol]:
    """The weights of a model's graph and its subgraphs."""
    graphs = [model.graph, *model.graph.subgraphs()]
    return [v.const_value for g in graphs for v in g.initializers.values() if v.const_value is not None]


def attach(model: ir.Model, path: Path) -> None:
    """Tell external tensors their folder, and see that each of their files is there and long enough.

    Raises:
        ModelError: one is not.
    """
    for tensor in all_weights(model):
        if not isinstance(tensor, ir.ExternalTensor):
            continue
        tensor.base_dir = str(path.parent)
        file = path.parent / tensor.location
        if not file.is_file():
            raise ModelError(f"{path} keeps weights in {file}, which does not exist; copy it there")
        needed = (tensor.offset or 0) + (tensor.length or tensor.nbytes)
        if file.stat().st_size < needed:
            got = file.stat().st_size
            raise ModelError(f"{file} is cut short: expected {needed} bytes, got {got}; copy it again")


def inside(model: ir.Model) -> ir.Model:
    """The model, its weights read into memory in place."""
    if any(isinstance(tensor, ir.ExternalTensor) for tensor in all_weights(model)):
        ir.external_data.load_to_model(model)
    return model


def save_beside(model: ir.Model, path: Path) -> Path:
    """Write a model and its weights to `<name>.data` beside it.

    Both are written whole before either gets its name: first the weights, then the model, which makes them reachable.
    """
    data = path.with_name(f"{path.name}.data")
    with replacing(path) as new, replacing(data) as new_data, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        ir.save(model, Path(folder) / path.name, external_data=data.name)
        (Path(folder) / data.name).replace(new_data)
        (Path(folder) / path.name).replace(new)
    return path
