"""Options that several verbs have."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeonnx.libraries import custom_ops

R = TypeVar("R")

_option = click.option(
    "--custom-op",
    "libraries",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="LIB",
    help="Library of custom operators (.so, .dylib, .dll) that the model uses; once for each library and platform.",
)


def custom_op(verb: Callable[..., R]) -> Callable[..., R]:
    """Give a verb the option `--custom-op`: the libraries are in use while it runs, and it need not know of them."""

    @wraps(verb)
    def run(*args: Any, libraries: tuple[Path, ...], **kwargs: Any) -> R:
        with custom_ops(*libraries):
            return verb(*args, **kwargs)

    return _option(run)
