"""onnxruntime-extensions: operators (tokenizers, picture decoders) that some bundles' models use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import DeviceError, first_line

if TYPE_CHECKING:
    import onnxruntime as ort


def version_note(tested: str | None) -> str:
    """What to add to an error of a graph with extensions' operators: the releases, where they are not the same."""
    if tested is None:
        return ""
    from importlib.metadata import version  # slow to import, and only wanted beside an error

    found = version("onnxruntime-extensions")
    return "" if found == tested else f"; it was tested with onnxruntime-extensions {tested}, this is {found}"


def register(options: ort.SessionOptions, bundle_name: str) -> None:
    """Let a session with these options use onnxruntime-extensions' operators.

    Raises:
        DeviceError: it is not installed, or does not work here.
    """
    try:
        from onnxruntime_extensions import get_library_path  # only bundles that use it need it

        options.register_custom_ops_library(get_library_path())
    except Exception as error:  # ImportError; OSError of a broken library; onnxruntime's own
        raise DeviceError(
            f"{bundle_name}: its model uses onnxruntime-extensions' operators: "
            f"pip install onnxruntime-extensions ({first_line(error)})"
        ) from error
