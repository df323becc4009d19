"""Reads a JSON object field by field, so that an error names the one field that is wrong."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ._errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORDS = {str: "a string", int: "an integer", bool: "true or false", dict: "an object", list: "a list"}
_NOTHING = object()


class Fields:
    """One object of the manifest; every method raises BundleError when its field is missing or of another type.

    Args:
        value: what json.loads gave for it.
        where: its place, as in `session.providers[0]`; empty for the whole manifest.
        file: what it was read from; begins every error.
    """

    def __init__(self, value: object, where: str = "", file: str = "manifest.json") -> None:
        self.where, self.file = where, file
        if not isinstance(value, dict):
            raise self.error("", "an object", value)
        self._value: dict[str, Any] = value

    def error(self, name: str, expected: str, got: object) -> BundleError:
        """The error for field `name`, which should have been `expected`."""
        shown = "nothing" if got is _NOTHING else repr(got)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return BundleError(f"{self.file}: {self._place(name) or 'the whole'}: expected {expected}, got {shown}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def text(self, name: str, choices: tuple[str, ...] = ()) -> str:
        """A string, one of `choices` where there are any."""
        value: str = self._get(name, str)
        if choices and value not in choices:
            raise self.error(name, "one of " + ", ".join(choices), value)
        return value

    def integer(self, name: str, minimum: int = 0) -> int:
        """An integer of at least `minimum`."""
        value: int = self._get(name, int)
        if isinstance(value, bool) or value < minimum:  # JSON's true is an int in Python
            raise self.error(name, f"an integer of at least {minimum}", value)
        return value

    def number(self, name: str, minimum: float = -math.inf) -> float:
        """A finite number of at least `minimum`."""
        value = self._value.get(name, _NOTHING)
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        # The upper bound keeps NaN, infinity, and integers that no float can hold out.
        if not known or not max(minimum, -1e300) <= value <= 1e300:
            raise self.error(name, "a number" if minimum == -math.inf else f"a number from {minimum:g} up", value)
        return float(value)

    def child(self, name: str) -> Fields:
        """An object within this one."""
        return Fields(self._get(name, dict), self._place(name), self.file)

    def children(self, name: str) -> Iterator[Fields]:
        """The objects of a list."""
        for i, value in enumerate(self._get(name, list)):
            yield Fields(value, self._place(f"{name}[{i}]"), self.file)

    def items(self, name: str) -> Iterator[tuple[str, Fields]]:
        """The keys of an object whose values are objects, with those."""
        child = self.child(name)
        for key in child._value:
            yield key, child.child(key)

    def flag(self, name: str) -> bool:
        """True or false."""
        value: bool = self._get(name, bool)
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        values: list[Any] = self._get(name, list)
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(f"{name}[{i}]", "a string", value)
        return tuple(values)

    def texts(self, name: str) -> Mapping[str, str]:
        """An object whose values are strings."""
        child = self.child(name)
        return MappingProxyType({key: child.text(key) for key in child._value})

    def counts(self, name: str) -> Mapping[str, int]:
        """An object whose values are integers of at least 0."""
        child = self.child(name)
        return MappingProxyType({key: child.integer(key) for key in child._value})

    def shape(self, name: str) -> tuple[int | str, ...]:
        """A list of integers of at least 0, and of strings for free dimensions."""
        sizes: list[Any] = self._get(name, list)
        for i, size in enumerate(sizes):
            if isinstance(size, bool) or not (isinstance(size, str) or (isinstance(size, int) and size >= 0)):
                raise self.error(f"{name}[{i}]", "an integer of at least 0, or a string", size)
        return tuple(sizes)

    def _place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where and name else self.where or name

    def _get(self, name: str, kind: type) -> Any:
        value = self._value.get(name, _NOTHING)
        if not isinstance(value, kind):
            raise self.error(name, _WORDS[kind], value)
        return value
