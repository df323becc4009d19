"""Silence for libraries that log, warn or print advice which does not apply to what they are given here."""

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path


@contextmanager
def quiet_logging(level: int = logging.WARNING) -> Iterator[None]:
    """Drop what is logged up to a level, by whatever logger: onnxruntime's quantizers use the root's."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop whatever is logged, warned of or printed, by C++ libraries too: what matters of it is raised as well."""
    with (
        quiet_logging(logging.CRITICAL),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
        _quiet_descriptor(2),
    ):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _quiet_descriptor(number: int) -> Iterator[None]:
    """Drop what goes past Python to a file descriptor."""
    try:
        kept = os.dup(number)
    except OSError:  # closed: a service without standard error
        yield
        return
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
