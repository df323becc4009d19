"""Targets: what is known of a device, and what that decides about a model.

Profiles are data, one TOML file per board family (`targets/` in the repository); `docs/targets.md` tells how to add
one.
"""

from edgeonnx.targets.check import ModelFacts, Refusal, refusals, refused
from edgeonnx.targets.host import runs_here
from edgeonnx.targets.load import list_targets, load_target, target_names
from edgeonnx.targets.onnxruntime import Caps, caps, oldest
from edgeonnx.targets.profile import Target

__all__ = [
    "Caps",
    "ModelFacts",
    "Refusal",
    "Target",
    "caps",
    "list_targets",
    "load_target",
    "oldest",
    "refusals",
    "refused",
    "runs_here",
    "target_names",
]
