"""A spec as ONNX graphs: before the model, after it, or both joined to it."""

from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir

from edgeonnx.errors import PipelineError
from edgeonnx.extensions import DOMAIN, VISION
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.builder import BASE_OPSET, Builder
from edgeonnx.pipeline.part import Entry
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.pipeline.stream import check_state
from edgeonnx.pipeline.surgery import Before, as_value, connect_inputs, fix_batch, free_prefix, insert, named, rename

# Versions of the operator sets besides the standard one.
_DOMAINS = {DOMAIN: 1, VISION: 1, "ai.onnx.ml": 3}


def check(model: Model, spec: PipelineSpec) -> None:
    """See that a spec fits a model.

    Raises:
        PipelineError: the field of the spec, expected and got.
    """
    taken: dict[str, str] = {}
    for name, part in spec.input.items():
        targets = part.targets(name, model.inputs)
        for target in targets:
            if target in taken:
                raise PipelineError(f"input.{name}: {target} is already what input.{taken[target]} becomes")
            taken[target] = name
        part.check(name, {tensor.name: tensor for tensor in model.inputs if tensor.name in targets})
    check_state(spec, model)
    consumed: Sequence[str] = ()
    if spec.output is not None:
        consumed = spec.output.consumes(model.outputs)
        notes = _before(model, spec).notes
        spec.output.check({tensor.name: tensor for tensor in model.outputs if tensor.name in consumed}, tuple(notes))
        _after(model, spec, {tensor.name: as_value(tensor) for tensor in model.outputs}, notes, Builder("check"))
    _check_names(model, spec, taken, consumed)


def _check_names(model: Model, spec: PipelineSpec, declared: Iterable[str], consumed: Sequence[str]) -> None:
    """See that what goes into the joined model has names of its own."""
    names = [entry.spec.name for entry in entries(model, spec)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PipelineError(f"input.{twice[0]}: two inputs would be called so; give the source another name")
    own = {tensor.name for tensor in model.inputs} - set(declared)
    kept = {tensor.name for tensor in model.outputs} - set(consumed) - own
    if both := sorted(kept & set(names)):
        raise PipelineError(f"input.{both[0]}: the model has an output called so; give the source another name")


def entries(model: Model, spec: PipelineSpec | None) -> tuple[Entry, ...]:
    """What the joined model takes: the spec's sources, and the model's inputs that it does not declare."""
    if spec is None:
        return tuple(Entry(tensor) for tensor in model.inputs)
    found: list[Entry] = []
    declared = {target: name for name, part in spec.input.items() for target in part.targets(name, model.inputs)}
    done: set[str] = set()
    for tensor in model.inputs:
        name = declared.get(tensor.name)
        if name is None:
            found.append(Entry(tensor))
        elif name not in done:
            done.add(name)
            targets = {t.name: t for t in model.inputs if declared.get(t.name) == name}
            found += spec.input[name].entries(name, targets)
    return tuple(found)


def needed_opset(model: Model, spec: PipelineSpec) -> int:
    """The oldest standard operator set that has every operator of the spec.

    Raises:
        PipelineError: the spec does not fit the model.
    """
    check(model, spec)
    before = _before(model, spec)
    after = Builder("pipeline.output")
    _after(model, spec, {tensor.name: as_value(tensor) for tensor in model.outputs}, before.notes, after)
    return max(before.opset, after.opset)


def join(model: Model, spec: PipelineSpec) -> Model:
    """The model with its pre- and postprocessing in the same graph.

    Declared inputs give way to the spec's sources, consumed outputs to its results. The model's own nodes stay as they
    are, but for the names of values that are named as a source or a result.

    Args:
        model: of `needed_opset` or newer: see `edgeonnx.optimize.opset.raise_opset`.
        spec: its pipeline.

    Raises:
        PipelineError: the spec does not fit the model (expected and got, at which input or output).
    """
    check(model, spec)
    joined = model.copy().ir
    graph = joined.graph
    prefix = free_prefix(graph)
    before, after = _before(model, spec, prefix), Builder(f"{prefix}.output")
    outputs = {tensor.name: value for tensor, value in zip(model.outputs, graph.outputs, strict=True)}
    first = connect_inputs(graph, model, before, outputs, prefix)
    fix_batch(outputs.values(), model, before)
    results = _after(model, spec, outputs, before.notes, after)
    rename(graph, {*graph.inputs[: len(before.inputs)], *results})
    graph.outputs[:] = results
    insert(graph, first, after.nodes)
    opset = max(before.opset, after.opset)
    if model.opset < opset:
        raise PipelineError(f"the pipeline needs opset {opset}, the model is of {model.opset}; raise it first")
    _import_domains(joined)
    return Model(joined)


def preprocessing(model: Model, spec: PipelineSpec) -> Model:
    """The preprocessing alone: from a sample as the user has it to the model's inputs and the notes.

    Outputs come in the order of `model.inputs`, each named `NAME.prepared`; then a note each, named `NOTE.note`. Inputs
    that the spec does not declare pass through.

    Raises:
        PipelineError: the spec does not fit the model.
    """
    check(model, spec)
    before = _before(model, spec)
    end = Builder("pipeline.end")
    values = {str(value.name): value for value in before.inputs} | before.feeds
    outputs = [named(end, values[tensor.name], f"{tensor.name}.prepared", tensor) for tensor in model.inputs]
    for name, value in before.notes.items():
        outputs.append(end.result(value, f"{name}.note", *_note(name)))
    return _alone(model, before.inputs, outputs, [*before.nodes, *end.nodes], before.opset, "preprocessing")


def postprocessing(model: Model, spec: PipelineSpec) -> Model:
    """The postprocessing alone: from the model's outputs and the notes (`NOTE.note`) to the results.

    Outputs that the spec leaves as they are pass through, named `NAME.passed`. An output whose name a result takes is
    fed as `NAME.raw`.

    Raises:
        PipelineError: the spec does not fit the model, or declares no output.
    """
    check(model, spec)
    if spec.output is None:
        raise PipelineError("output: expected one, the spec declares none")
    own = {tensor.name: as_value(tensor) for tensor in model.outputs}
    notes = {name: as_value(TensorSpec(f"{name}.note", *_note(name))) for name in _before(model, spec).notes}
    build = Builder("pipeline.output")
    tensors = {own[tensor.name]: tensor for tensor in model.outputs}
    outputs = [
        named(build, value, f"{value.name}.passed", tensors[value]) if value in tensors else value
        for value in _after(model, spec, own, notes, build)
    ]
    for name in {str(value.name) for value in outputs} & set(own):
        own[name].name = f"{name}.raw"
    return _alone(model, [*own.values(), *notes.values()], outputs, build.nodes, build.opset, "postprocessing")


def _before(model: Model, spec: PipelineSpec, prefix: str = "pipeline") -> Before:
    """Write the preprocessing."""
    nodes: list[ir.Node] = []
    feeds: dict[str, ir.Value] = {}
    notes: dict[str, ir.Value] = {}
    opset = BASE_OPSET
    values = {entry.spec.name: as_value(entry.spec) for entry in entries(model, spec)}
    for name, part in spec.input.items():
        targets = part.targets(name, model.inputs)
        tensors = {tensor.name: tensor for tensor in model.inputs if tensor.name in targets}
        build = Builder(f"{prefix}.input.{name}")
        prepared = part.build(tensors, [values[e.spec.name] for e in part.entries(name, tensors)], build)
        nodes += build.nodes
        feeds.update(prepared.feeds)
        notes.update({f"{name}.{kind}": value for kind, value in prepared.notes.items()})
        opset = max(opset, build.opset)
    return Before(list(values.values()), nodes, feeds, notes, opset)


def _after(
    model: Model, spec: PipelineSpec, own: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder
) -> list[ir.Value]:
    """Write the postprocessing; what comes out: results first, then the outputs that are not consumed."""
    if spec.output is None:
        return list(own.values())
    consumed = spec.output.consumes(model.outputs)
    results = spec.output.build({name: own[name] for name in consumed}, notes, build)
    names = {entry.spec.name for entry in entries(model, spec)}
    for value in results:
        if value.name in own and value.name not in consumed:
            raise PipelineError(f"output: the model already has an output named {value.name}")
        if value.name in names:
            raise PipelineError(f"input.{value.name}: a result is called so; give the source another name")
    return [*results, *(value for name, value in own.items() if name not in consumed)]


def _alone(
    model: Model,
    inputs: Sequence[ir.Value],
    outputs: Sequence[ir.Value],
    nodes: Sequence[ir.Node],
    opset: int,
    name: str,
) -> Model:
    imports = {"": max(model.opset, opset)}
    graph = ir.Graph(list(inputs), list(outputs), nodes=list(nodes), opset_imports=imports, name=name)
    alone = ir.Model(graph, ir_version=max(model.ir_version, 8))
    _import_domains(alone)
    return Model(alone)


def _import_domains(model: ir.Model) -> None:
    for domain in {node.domain for node in model.graph} & set(_DOMAINS):
        model.opset_imports.setdefault(domain, _DOMAINS[domain])


def _note(name: str) -> tuple[str, tuple[int | str | None, ...]]:
    """Numpy dtype and shape of a note: see `Prepared.notes`."""
    return {"geometry": ("float32", (8,)), "mask": ("int64", (1, "tokens"))}[name.rpartition(".")[2]]
