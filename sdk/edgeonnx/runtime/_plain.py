"""Writes the types of `_manifest.py` as what manifest.json holds."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ._manifest import SCHEMA, Media

if TYPE_CHECKING:
    from ._manifest import Manifest


def plain_manifest(manifest: Manifest) -> dict[str, Any]:
    """A manifest as dicts, lists, strings and numbers. What inputs do not say is left out, and so are no custom_ops."""
    plain: dict[str, Any] = {"schema": SCHEMA, **_plain(manifest)}
    if manifest.custom_ops is None:
        del plain["custom_ops"]
    for spec, written in zip(manifest.inputs, plain["inputs"]):
        if not spec.missing:
            del written["missing"]
        if spec.media is None:
            del written["media"]
        else:
            said = {k: v for k, v in spec.media._asdict().items() if v != Media._field_defaults.get(k)}
            written["media"] = _plain(said)
    return plain


def _plain(value: Any) -> Any:
    value = value._asdict() if hasattr(value, "_asdict") else value
    if isinstance(value, (dict, MappingProxyType)):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
