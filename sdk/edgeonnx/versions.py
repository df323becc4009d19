"""Versions as numbers, and whether one is within bounds such as `>=1.21,<1.23`."""

import re

from edgeonnx.errors import InputError

_BOUND = re.compile(r"(>=|<=|==|<|>)\s*(\d+(?:\.\d+)*)")


def numbers(version: str) -> tuple[int, ...]:
    """`1.22.0rc1` as (1, 22, 0): what stands before anything that is no number."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def within(version: str, bounds: str) -> bool:
    """Whether a version fulfils every bound.

    Raises:
        InputError: a bound that does not parse.
    """
    return all(_fulfils(numbers(version), bound.strip()) for bound in bounds.split(","))


def _fulfils(version: tuple[int, ...], bound: str) -> bool:
    found = _BOUND.fullmatch(bound)
    if found is None:
        raise InputError(f"version: expected bounds such as >=1.21,<1.23, got {bound!r}; correct it")
    limit = numbers(found[2])
    length = max(len(version), len(limit))
    one, other = (value + (0,) * (length - len(value)) for value in (version, limit))
    match found[1]:
        case ">=":
            return one >= other
        case "<=":
            return one <= other
        case "<":
            return one < other
        case ">":
            return one > other
    return one == other
