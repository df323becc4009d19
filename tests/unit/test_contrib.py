"""Since when onnxruntime has its own operators."""

import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

from edgeonnx.targets.contrib import _table, contrib_release


@pytest.mark.parametrize(
    ("domain", "operator", "attributes", "opset", "release"),
    [
        ("", "Conv", ["pads"], 17, "0"),
        ("ai.onnx", "LayerNormalization", [], 17, "0"),
        ("", "LayerNormalization", [], 13, "1.19"),  # before ONNX had it
        ("", "Nothing", [], 17, None),
        ("com.microsoft", "QLinearAdd", [], 17, "1.19"),
        ("com.microsoft", "GatherBlockQuantized", ["block_size"], 21, "1.20"),
        ("com.microsoft", "GatherBlockQuantized", ["block_size", "bits"], 21, "1.23"),
        ("com.microsoft", "Nothing", [], 17, None),
        ("my.own", "QLinearAdd", [], 17, None),
    ],
)
def test_releases(domain, operator, attributes, opset, release):
    assert contrib_release(domain, operator, attributes, opset) == release


def test_the_installed_onnxruntime_has_what_the_facts_say():
    here = [int(part) for part in ort.__version__.split(".")[:2]]
    there = {schema.name for schema in native.get_all_operator_schema() if schema.domain == "com.microsoft"}
    for name, release in _table()["microsoft"].items():
        if [int(part) for part in release.split(".")] <= here:
            assert name.partition(".")[0] in there
