"""Libraries of custom operators: what a user gives, and what models need of it."""

from edgeonnx.libraries.given import Library, custom_ops, given_libraries, implements, libraries_here
from edgeonnx.libraries.operators import (
    at_node,
    foreign_operators,
    inline_custom,
    lacking,
    libraries_for,
    needs_extensions,
    not_registered,
    register,
)

__all__ = [
    "Library",
    "at_node",
    "custom_ops",
    "foreign_operators",
    "given_libraries",
    "implements",
    "inline_custom",
    "lacking",
    "libraries_for",
    "libraries_here",
    "needs_extensions",
    "not_registered",
    "register",
]
