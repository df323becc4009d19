"""Tools that quantize, behind one interface: what they propose is for the gate to judge."""

from edgeonnx.engines.base import Engine, Failure, Proposal
from edgeonnx.errors import EngineError

NAMES = ("ort", "inc")

__all__ = ["NAMES", "Engine", "Failure", "Proposal", "load_engine"]


def load_engine(name: str) -> Engine:
    """The engine of that name; whether it is installed shows when it is used.

    Raises:
        EngineError: there is none.
    """
    if name == "ort":
        from edgeonnx.engines.ort import OrtEngine

        return OrtEngine()
    if name == "inc":
        from edgeonnx.engines.inc import IncEngine

        return IncEngine()
    raise EngineError(f"no engine {name!r}; expected one of {', '.join(NAMES)}")
