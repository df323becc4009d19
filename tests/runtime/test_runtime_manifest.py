import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_bundles import dump, picture_model

from edgeonnx.runtime import BundleError
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._manifest import SCHEMA, Manifest

# The object that docs/bundle.md shows.
EXAMPLE = {
    "schema": 1,
    "name": "fashion",
    "version": "1",
    "target": "raspberrypi",
    "created_with": {"edgeonnx": "0.1.0", "numpy": "2.4.6", "onnx": "1.23.2", "onnxruntime": "1.32.0"},
    "onnxruntime": {"minimum": "1.18", "tested": "1.32.0"},
    "model": {"file": "model.onnx", "precision": "int8", "opset": 17, "ir_version": 8},
    "inputs": [{"name": "input", "dtype": "uint8", "shape": ["height", "width", 1], "image": "grey"}],
    "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, 10], "atol": 0.12, "rtol": 0.001}],
    "result": {"type": "classification", "output": "logits", "labels": "labels.txt", "top_k": 3},
    "session": {
        "providers": [{"name": "CPUExecutionProvider", "options": {}}],
        "intra_op_threads": 4,
        "inter_op_threads": 1,
        "graph_optimization": "all",
        "config": {"session.intra_op.allow_spinning": "1"},
    },
    "golden": {"samples": 3, "origin": "data"},
    "provenance": {
        "source_sha256": "ab",
        "recipe": "balanced",
        "metric": "top-1 accuracy",
        "float_score": 0.8807,
        "score": 0.8823,
        "evaluation_samples": 3000,
        "calibration_samples": 200,
    },
    "files": {"model.onnx": {"bytes": 69596, "sha256": "cd"}, "labels.txt": {"bytes": 9, "sha256": "ef"}},
}


def changed(path, value):
    """The example with one field set, or taken out where value is `...`."""
    manifest = copy.deepcopy(EXAMPLE)
    place = manifest
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return manifest


def test_round_trip_is_the_same_to_the_byte():
    manifest = Manifest.parse(EXAMPLE)
    assert manifest.to_dict() == EXAMPLE
    assert manifest.dumps().encode() == dump(EXAMPLE)
    assert Manifest.loads(manifest.dumps().encode()) == manifest
    assert EXAMPLE["schema"] == SCHEMA


def test_what_may_be_null_may_be_missing():
    for key in ("result", "provenance"):
        assert getattr(Manifest.parse(changed([key], None)), key) is None
        assert getattr(Manifest.parse(changed([key], ...)), key) is None
    assert Manifest.parse(changed(["provenance", "score"], ...)).provenance.score is None
    assert Manifest.parse(changed(["result", "labels"], None)).result.labels is None
    assert Manifest.parse(changed(["inputs", 0, "image"], ...)).inputs[0].image is None
    assert "image" not in Manifest.parse(changed(["inputs", 0, "image"], ...)).to_dict()["inputs"][0]


def test_unknown_fields_are_ignored():
    manifest = changed(["inputs", 0, "colour"], "blue")
    manifest["future"] = {"a": 1}
    assert Manifest.parse(manifest) == Manifest.parse(EXAMPLE)


def test_it_is_frozen():
    manifest = Manifest.parse(EXAMPLE)
    with pytest.raises(AttributeError):
        manifest.name = "x"
    with pytest.raises(AttributeError):
        manifest.inputs[0].name = "x"
    with pytest.raises(TypeError):
        manifest.files["x"] = None
    with pytest.raises(TypeError):
        manifest.session.config["x"] = "y"


REQUIRED = [
    *([key] for key in EXAMPLE if key not in ("result", "provenance")),
    *(["model", key] for key in EXAMPLE["model"]),
    *(["onnxruntime", key] for key in EXAMPLE["onnxruntime"]),
    *(["inputs", 0, key] for key in ("name", "dtype", "shape")),
    *(["outputs", 0, key] for key in EXAMPLE["outputs"][0]),
    *(["result", key] for key in ("type", "output", "top_k")),
    *(["session", key] for key in EXAMPLE["session"]),
    *(["session", "providers", 0, key] for key in ("name", "options")),
    *(["golden", key] for key in EXAMPLE["golden"]),
    *(["files", "model.onnx", key] for key in ("bytes", "sha256")),
]


def dotted(path) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.lstrip(".")


@pytest.mark.parametrize("path", REQUIRED, ids=dotted)
@pytest.mark.parametrize("value", [..., None, True, 1e400], ids=["missing", "null", "true", "inf"])
def test_a_field_that_is_missing_or_wrong_is_named(path, value):
    with pytest.raises(BundleError) as caught:
        Manifest.parse(changed(path, value))
    assert str(caught.value).startswith(f"manifest.json: {dotted(path)}: expected ")
    assert ("got nothing" in str(caught.value)) == (value is ...)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], 0, "schema: expected an integer of at least 1, got 0"),
        (["inputs", 0, "dtype"], "complex64", "inputs[0].dtype: expected one of bool, "),
        (["inputs", 0, "dtype"], "float32", "inputs[0].dtype: expected uint8, since image is grey"),
        (["inputs", 0, "shape"], ["h", "w", 3], "inputs[0].shape: expected [height, width, 1]"),
        (["inputs", 0, "shape"], [1, -1, 1], "inputs[0].shape[1]: expected an integer of at least 0"),
        (["inputs", 0, "shape"], [1.5], "inputs[0].shape[0]: expected an integer"),
        (["inputs", 0, "image"], "cmyk", "inputs[0].image: expected one of grey, rgb, bgr"),
        (["inputs"], [EXAMPLE["inputs"][0]] * 2, "inputs: expected names that differ"),
        (["inputs"], [3], "inputs[0]: expected an object, got 3"),
        (["outputs", 0, "atol"], -1, "outputs[0].atol: expected a number from 0 up, got -1"),
        (["outputs", 0, "atol"], 10**400, "outputs[0].atol: expected a number from 0 up"),
        (["outputs", 0, "dtype"], "str", "result.output: expected a numeric one of the outputs"),
        (["result", "output"], "x", "result.output: expected a numeric one of the outputs, got 'x'"),
        (["result", "type"], "detection", "result.type: expected one of classification"),
        (["result", "labels"], "x.txt", "result.labels: expected null or an entry of files"),
        (["model", "file"], "x.onnx", "model.file: expected an entry of files"),
        (["session", "graph_optimization"], "some", "session.graph_optimization: expected one of disabled, "),
        (["session", "providers"], [], "session.providers: expected at least one provider"),
        (["session", "config", "x"], 1, "session.config.x: expected a string, got 1"),
        (["created_with", "x"], 1, "created_with.x: expected a string"),
        (["golden", "origin"], "heaven", "golden.origin: expected one of data, generated"),
    ],
)
def test_a_field_that_contradicts_is_named(path, value, message):
    with pytest.raises(BundleError) as caught:
        Manifest.parse(changed(path, value))
    assert f"manifest.json: {message}" in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(REQUIRED), JSON)
def test_any_value_in_any_field_parses_or_is_a_bundle_error(path, value):
    try:
        manifest = Manifest.parse(changed(path, value))
    except BundleError as error:
        assert "\n" not in str(error)
    else:
        assert Manifest.loads(manifest.dumps().encode()) == manifest


@given(JSON)
def test_any_json_is_a_bundle_error(value):
    with pytest.raises(BundleError):
        Manifest.loads(json.dumps(value).encode())


def test_the_helpers_bundles_keep_to_the_specification(fashion):
    manifest = open_bundle(fashion).manifest
    assert [spec.name for spec in manifest.inputs] == [value.name for value in picture_model().graph.input]
    assert manifest.inputs[0].image == "grey"
