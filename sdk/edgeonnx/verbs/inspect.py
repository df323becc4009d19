"""`edgeonnx inspect`: what a model is, and what each target would refuse about it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeonnx.anatomy import Anatomy, dissect, domains_of
from edgeonnx.convert import conversion_of
from edgeonnx.libraries import foreign_operators, given_libraries
from edgeonnx.model import Model, TensorSpec
from edgeonnx.optimize.batch import fixed_but_batch
from edgeonnx.targets import ModelFacts, Target, list_targets, refusals
from edgeonnx.verbs.custom_operators import served_domains, unserved, usable_libraries
from edgeonnx.verbs.data import as_model


@dataclass(frozen=True)
class Inspection:
    """What a model is.

    Attributes:
        path: its file, if it has one.
        inputs: what it takes.
        outputs: what it returns.
        opset: version of the standard operator set.
        ir_version: version of the file format.
        bytes: size with weights.
        external_data: whether weights live in files beside it.
        anatomy: operators, parameters, multiply-accumulates.
        custom_operators: those that onnxruntime lacks -> the libraries given that have them.
        record: what edgeonnx wrote into it about how it was quantized or pruned.
        conversion: what edgeonnx wrote into it about how it was converted.
        refusals: target -> why it would refuse the model, one line each; empty if it would not.
    """

    path: Path | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    ir_version: int
    bytes: int
    external_data: bool
    anatomy: Anatomy
    custom_operators: Mapping[str, tuple[str, ...]]
    record: Mapping[str, Any] | None
    conversion: Mapping[str, Any] | None
    refusals: Mapping[str, tuple[str, ...]]


def inspect(model: str | Path | Model) -> Inspection:
    """Look at a model without running it.

    Raises:
        ModelError: it can't be read.
    """
    model = as_model(model)
    anatomy = dissect(model)
    return Inspection(
        path=model.path,
        inputs=model.inputs,
        outputs=model.outputs,
        opset=model.opset,
        ir_version=model.ir_version,
        bytes=model.file_bytes,
        external_data=model.has_external_data,
        anatomy=anatomy,
        custom_operators={
            name: tuple(str(library) for library in given_libraries() if library.has(name))
            for name in foreign_operators(model.ir)
        },
        record=model.record,
        conversion=conversion_of(model),
        refusals={t.name: tuple(refusals(t, model_facts(model, anatomy.domains, t))) for t in list_targets()},
    )


def target_refusals(
    model: Model, target: Target, size: int | None = None, core: Model | None = None, whole: bool = True
) -> list[str]:
    """Why a target would refuse a model, one line each; empty if it would not.

    Args:
        model: as it would be shipped, or as it is before it is made smaller.
        target: the device.
        size: bytes to judge by, where the model is not yet of the size it will have; None: its own.
        core: the model without its pipeline, whose input shapes are judged; None: it has none.
        whole: the libraries of custom operators must be there for the target; False: for any platform.
    """
    facts = model_facts(model, domains_of(model), target, whole)
    facts = replace(facts, inputs_fixed=all(map(fixed_but_batch, (core or model).inputs)))
    return refusals(target, facts if size is None else replace(facts, bytes=size))


def model_facts(model: Model, domains: frozenset[str], target: Target, whole: bool = True) -> ModelFacts:
    """What a target's checks ask of a model; not `whole`: libraries of custom operators count for any platform."""
    libraries = usable_libraries(target, anywhere=not whole)
    return ModelFacts(
        opset=model.opset,
        ir_version=model.ir_version,
        domains=domains - served_domains(model, libraries),
        inputs_fixed=all(map(fixed_but_batch, model.inputs)),
        external_data=model.has_external_data,
        bytes=model.file_bytes,
        unserved=unserved(target),
    )
