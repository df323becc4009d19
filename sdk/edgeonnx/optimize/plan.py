"""The list of passes, and how it is run."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import onnx_ir as ir

from edgeonnx.graph import STANDARD
from edgeonnx.model import Model
from edgeonnx.optimize.domain import spell_alike
from edgeonnx.optimize.passes.cancel_pairs import cancel_pairs
from edgeonnx.optimize.passes.clear_notes import clear_notes
from edgeonnx.optimize.passes.deduplicate import deduplicate
from edgeonnx.optimize.passes.fix_dims import fix_dims
from edgeonnx.optimize.passes.float16 import float16
from edgeonnx.optimize.passes.fold_affine import fold_affine
from edgeonnx.optimize.passes.fold_constants import fold_constants
from edgeonnx.optimize.passes.fold_pads import fold_pads
from edgeonnx.optimize.passes.fuse_attention import fuse_attention
from edgeonnx.optimize.passes.fuse_gelu import fuse_gelu
from edgeonnx.optimize.passes.fuse_hardsigmoid import fuse_hardsigmoid
from edgeonnx.optimize.passes.fuse_hardswish import fuse_hardswish
from edgeonnx.optimize.passes.fuse_layernorm import fuse_layernorm
from edgeonnx.optimize.passes.fuse_rmsnorm import fuse_rmsnorm
from edgeonnx.optimize.passes.inline_functions import inline_functions
from edgeonnx.optimize.passes.lift_constants import lift_constants
from edgeonnx.optimize.passes.lower_opset import lower_opset
from edgeonnx.optimize.passes.matmul_add_to_gemm import matmul_add_to_gemm
from edgeonnx.optimize.passes.onnxruntime_offline import onnxruntime_offline
from edgeonnx.optimize.passes.push_transposes import push_transposes
from edgeonnx.optimize.passes.remove_dead import remove_dead
from edgeonnx.optimize.passes.remove_identities import remove_identities
from edgeonnx.optimize.passes.shape_constants import shape_constants
from edgeonnx.ranges import Ranges
from edgeonnx.weights import inferred

Pass = Callable[[Model], tuple[Model, int]]
# Passes that enable each other come to rest after a few rounds; should two undo each other, this ends it.
_ROUNDS = 12


@dataclass(frozen=True)
class Wish:
    """What the optimized model is to be.

    Attributes:
        opset: the highest operator set that it may use; None: its own.
        ir_version: the highest version of the file format; None: its own.
        fixed: sizes of free dimensions, by the dimension's name or as `INPUT:AXIS`.
        half: compute in float16.
        ranges: of activations, for float16: what goes beyond its range stays in float32; None: not known.
        operators: that the provider takes, so that none are put in which it leaves to the CPU; None: any.
        offline: have onnxruntime optimize it too, for `arm` or `x86`: its own operators tie the file to it; None: no.
    """

    opset: int | None = None
    ir_version: int | None = None
    fixed: Mapping[str, int] = field(default_factory=dict)
    half: bool = False
    ranges: Ranges | None = None
    offline: Literal["arm", "x86"] | None = None
    operators: frozenset[str] | None = None


@dataclass(frozen=True)
class Plan:
    """Passes, in order.

    Attributes:
        first: run once.
        together: run in turn until none finds anything to do.
        last: run once.
        extra: run once, after them.
    """

    first: tuple[Pass, ...]
    together: tuple[Pass, ...]
    last: tuple[Pass, ...] = ()
    extra: tuple[Pass, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all the passes."""
        return tuple(map(name_of, (*self.first, *self.together, *self.last, *self.extra)))

    @property
    def wished(self) -> tuple[str, ...]:
        """Names of the passes that are asked for whatever they cost: a type, an older operator set."""
        return tuple(map(name_of, self.last))

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the passes that only make a model smaller or faster: without one it is still what was wished."""
        return tuple(map(name_of, (*self.together, *self.extra)))


@dataclass(frozen=True)
class Change:
    """What a pass did.

    Attributes:
        name: of the pass.
        rewrites: how many; 0 where it found nothing to do.
        nodes: how many nodes the model has more than before; mostly negative.
    """

    name: str
    rewrites: int
    nodes: int


def plan_for(wish: Wish) -> Plan:
    """The passes that bring a model to what is wished."""
    half = partial(float16, ranges=wish.ranges)
    lower = partial(lower_opset, opset=wish.opset, ir_version=wish.ir_version)
    offline = partial(onnxruntime_offline, arm=wish.offline == "arm")
    return Plan(
        first=(inline_functions, lift_constants, clear_notes, partial(fix_dims, sizes=wish.fixed)),
        together=(
            shape_constants,
            fold_constants,
            remove_identities,
            cancel_pairs,
            push_transposes,
            fold_pads,
            fold_affine,
            *_fusions(wish),
            deduplicate,
            remove_dead,
        ),
        last=(*([half] if wish.half else []), lower),
        extra=(offline,) if wish.offline else (),
    )


def _fusions(wish: Wish) -> list[Pass]:
    """Passes that put an operator in the place of several, where it is taken: larger ones first."""
    passes: dict[str, Pass] = {
        "Attention": partial(fuse_attention, opset=wish.opset),
        "LayerNormalization": partial(fuse_layernorm, opset=wish.opset),
        "RMSNormalization": partial(fuse_rmsnorm, opset=wish.opset),
        "Gelu": partial(fuse_gelu, opset=wish.opset),
        "HardSwish": partial(fuse_hardswish, opset=wish.opset),
        "HardSigmoid": fuse_hardsigmoid,
        "Gemm": matmul_add_to_gemm,
    }
    return [step for operator, step in passes.items() if wish.operators is None or operator in wish.operators]


def name_of(step: Pass) -> str:
    """A pass's name, with its settings bound or not."""
    return str(getattr(step, "func", step).__name__)


def run(model: Model, plan: Plan, skip: Collection[str] = ()) -> tuple[Model, tuple[Change, ...]]:
    """The model after all passes but those to skip, and what each of them did.

    Args:
        model: left as it is; given back itself where no pass finds anything to do.
        plan: the passes.
        skip: names of passes.
    """
    changes = {name: Change(name, 0, 0) for name in plan.names if name not in skip}

    def through(current: Model, passes: tuple[Pass, ...]) -> Model:
        for step in passes:
            if name_of(step) in changes:
                current = _apply(current, step, changes)
        return current

    plain = model.copy()
    spell_alike(plain.ir)
    current = asked = through(plain, plan.first)
    for _ in range(_ROUNDS):
        before, shaped = current, with_shapes(current)
        current = through(shaped, plan.together)
        if current is shaped:
            current = before
            break
    current = through(current, (*plan.last, *plan.extra))
    if not any(change.rewrites for change in changes.values()):
        return model, tuple(changes.values())
    return _as_stated(current, asked), tuple(changes.values())


def _apply(model: Model, step: Pass, changes: dict[str, Change]) -> Model:
    made, rewrites = step(model)
    change = changes[name_of(step)]
    more = count_nodes(made) - count_nodes(model)
    changes[change.name] = Change(change.name, change.rewrites + rewrites, change.nodes + more)
    return made


def count_nodes(model: Model) -> int:
    """Nodes of the main graph, of its subgraphs and of functions."""
    return sum(1 for _ in model.ir.graph.all_nodes()) + sum(len(f) for f in model.ir.functions.values())


def with_shapes(model: Model) -> Model:
    """The model with the types and shapes that can be inferred; those that it states itself are not trusted there."""
    copy = model.copy()
    for graph in copy.ir.graphs():
        for node in graph:
            for value in node.outputs:
                if node.domain in STANDARD and not value.is_graph_output():
                    value.shape = None
    return inferred(copy)


def _as_stated(model: Model, asked: Model) -> Model:
    """The model without what was inferred: outputs say what they were asked to, inside others keep what they had."""
    stated = {value.name for value in _results(asked.ir) if value.type is not None and value.shape is not None}
    for value in _results(model.ir):
        if value.name not in stated:
            value.type = value.type if value.is_graph_output() else None
            value.shape = None
    for made, wanted in zip(model.ir.graph.outputs, asked.ir.graph.outputs, strict=True):
        made.shape = wanted.shape
    return model


def _results(model: ir.Model) -> list[ir.Value]:
    return [value for graph in model.graphs() for node in graph for value in node.outputs]
