"""Silence for libraries that log advice which does not apply to what they are given here."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Drop what is logged up to warnings, by whatever logger: onnxruntime's quantizers use the root's."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
