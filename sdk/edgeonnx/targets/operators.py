"""Which operators a provider takes, told without running it: the schema of `targets/operators/*.toml`."""

import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeonnx.data import folder
from edgeonnx.targets.profile import Provider, Source

Reason = Literal["domain", "operator", "shape", "type", "rank", "constant", "attribute", "output", "zero", "provider"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limit(_Part):
    """What a node of one operator must be, where that is more than being of the operator.

    Attributes:
        types: element types of its first input; none: any that the table has.
        ranks: of its first input; none: any.
        constant: inputs, by number, that must be constant where there are any.
        zeros: inputs, by number, that must hold zeros where there are any.
        attributes: attribute -> its values; one that a node leaves out has ONNX's default.
        outputs: how many of its outputs may be used; 0: all.
    """

    types: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()
    zeros: tuple[int, ...] = ()
    attributes: dict[str, tuple[int | float | str, ...]] = {}
    outputs: int = 0


class Table(_Part):
    """What one provider takes.

    Attributes:
        provider: as onnxruntime spells it.
        when: provider option -> patterns, of which its value matches one where this table holds; an option that is not
            given is `""`. Of several tables that hold, the one with the most options does.
        fixed_shapes: whether a node with a free dimension is refused.
        types: element types of first inputs; none: any.
        operators: that it takes; one of a domain of its own is written `domain::name`.
        groups: that it takes with the Dequantize before and the Quantize after them, where it takes these two by
            themselves not at all.
        fused: operator -> those before it into which it vanishes.
        limits: operator -> what its nodes must be.
        sources: where the facts are from.
        name: the file's name.
    """

    provider: str
    when: dict[str, tuple[str, ...]] = {}
    fixed_shapes: bool = False
    types: tuple[str, ...] = ()
    operators: frozenset[str]
    groups: frozenset[str] = frozenset()
    fused: dict[str, tuple[str, ...]] = {}
    limits: dict[str, Limit] = {}
    sources: tuple[Source, ...]
    name: str

    def holds(self, provider: Provider) -> bool:
        """Whether it is the provider's, with the options it has."""
        options = provider.options
        return self.provider == provider.name and all(
            any(fnmatchcase(options.get(option, ""), pattern) for pattern in patterns)
            for option, patterns in self.when.items()
        )


class Rewrite(_Part):
    """What would bring a node to the accelerator; `targets/facts/rewrites.toml` says what the fields are."""

    reason: Reason
    operators: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    rewrite: str


def table_of(provider: Provider) -> Table | None:
    """What is known of a provider with its options; None: nothing."""
    held = [table for table in tables() if table.holds(provider)]
    return max(held, key=lambda table: len(table.when), default=None)


@cache
def tables() -> tuple[Table, ...]:
    """All of `targets/operators/`, in order of their names."""
    return tuple(_read(path) for path in sorted((folder("targets") / "operators").glob("*.toml")))


def rewrite(reason: Reason, operator: str, provider: str) -> str:
    """What would bring a node to a provider, by why it does not take it."""
    for row in _rewrites():
        fits = row.reason == reason and (not row.operators or operator in row.operators)
        if fits and (not row.providers or provider in row.providers):
            return row.rewrite
    raise AssertionError(f"targets/facts/rewrites.toml has no row for {reason}")  # a test sees that it has


@cache
def _rewrites() -> tuple[Rewrite, ...]:
    text = (folder("targets") / "facts" / "rewrites.toml").read_text("utf-8")
    return tuple(Rewrite.model_validate(row) for row in tomllib.loads(text)["rewrites"])


def _read(path: Path) -> Table:
    return Table.model_validate({"name": path.stem, **tomllib.loads(path.read_text("utf-8"))})
