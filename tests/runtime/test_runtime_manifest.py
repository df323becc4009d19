import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_bundles import dump, picture_model

from edgeonnx.runtime import BundleError
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._manifest import SCHEMA, Manifest, Media

# The object that docs/bundle.md shows.
EXAMPLE = {
    "schema": 2,
    "name": "fashion",
    "version": "1",
    "target": "raspberrypi",
    "created_with": {"edgeonnx": "0.1.0", "numpy": "2.4.6", "onnx": "1.23.2", "onnxruntime": "1.32.0"},
    "onnxruntime": {"minimum": "1.19", "tested": "1.32.0"},
    "extensions": None,
    "variants": [
        {
            "name": "int8",
            "file": "model.onnx",
            "precision": "int8",
            "opset": 17,
            "ir_version": 8,
            "minimum": "1.19",
            "features": ["dotprod"],
            "graph_optimization": "all",
            "tolerance": {"probabilities": {"atol": 0.00029, "rtol": 0.001}},
            "weights": ["weights/0.bin"],
            "providers": [{"name": "QNNExecutionProvider", "options": {"backend_type": "htp"}}],
            "placement": {"nodes": {"QNNExecutionProvider": 1}, "share": 1.0, "asked": True},
        }
    ],
    "inputs": [
        {
            "name": "input",
            "dtype": "uint8",
            "shape": ["height", "width", 1],
            "media": {"type": "image", "color": "grey"},
        }
    ],
    "outputs": [{"name": "probabilities", "dtype": "float32", "shape": [1, 10]}],
    "result": {
        "type": "classification",
        "outputs": {"scores": "probabilities"},
        "labels": "labels.txt",
        "top_k": 3,
        "threshold": None,
    },
    "stream": None,
    "pipeline": {"fingerprint": "ab", "file": "pipeline.json"},
    "health": {
        "file": "health.onnx",
        "inputs": {
            "input": {
                "low": 0.0,
                "high": 1.0,
                "mean": 0.28,
                "mean_std": 0.13,
                "spread": 0.33,
                "spread_std": 0.07,
                "samples": 200,
            }
        },
    },
    "session": {
        "providers": [{"name": "CPUExecutionProvider", "options": {}}],
        "intra_op_threads": 4,
        "inter_op_threads": 1,
        "memory": "fast",
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
    "files": {
        name: {"bytes": 9, "sha256": "ef"}
        for name in ("model.onnx", "labels.txt", "weights/0.bin", "pipeline.json", "health.onnx")
    },
}
STREAM = {"input": "input", "window": 16000, "hop": 8000, "rate": 16000, "state": {}}


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
    for key in ("result", "provenance", "stream", "pipeline", "health", "extensions"):
        assert getattr(Manifest.parse(changed([key], None)), key) is None
        assert getattr(Manifest.parse(changed([key], ...)), key) is None
    assert Manifest.parse(changed(["provenance", "score"], ...)).provenance.score is None
    assert Manifest.parse(changed(["result", "labels"], None)).result.labels is None
    assert Manifest.parse(changed(["inputs", 0, "media"], ...)).inputs[0].media is None
    assert "media" not in Manifest.parse(changed(["inputs", 0, "media"], ...)).to_dict()["inputs"][0]


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


OPTIONAL = ("result", "provenance", "stream", "pipeline", "health", "extensions")
REQUIRED = [
    *([key] for key in EXAMPLE if key not in OPTIONAL),
    *(["variants", 0, key] for key in EXAMPLE["variants"][0] if key not in ("placement", "providers")),
    *(["variants", 0, "tolerance", "probabilities", key] for key in ("atol", "rtol")),
    *(["onnxruntime", key] for key in EXAMPLE["onnxruntime"]),
    *(["inputs", 0, key] for key in ("name", "dtype", "shape")),
    *(["inputs", 0, "media", "type"],),
    *(["outputs", 0, key] for key in EXAMPLE["outputs"][0]),
    *(["result", key] for key in ("type", "outputs", "top_k")),
    *(["pipeline", key] for key in EXAMPLE["pipeline"]),
    *(["health", key] for key in EXAMPLE["health"]),
    *(["health", "inputs", "input", key] for key in EXAMPLE["health"]["inputs"]["input"]),
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
        (["inputs", 0, "dtype"], "float32", "inputs[0].dtype: expected uint8, since color is grey"),
        (["inputs", 0, "missing"], True, "inputs[0].missing: expected false, since dtype is uint8"),
        (["inputs", 0, "shape"], ["h", "w", 3], "inputs[0].shape: expected [height, width, 1]"),
        (["inputs", 0, "shape"], [1, -1, 1], "inputs[0].shape[1]: expected an integer of at least 0"),
        (["inputs", 0, "shape"], [1.5], "inputs[0].shape[0]: expected an integer"),
        (["inputs", 0, "media", "color"], "cmyk", "inputs[0].media.color: expected one of grey, rgb, bgr"),
        (["inputs", 0, "media", "type"], "smell", "inputs[0].media.type: expected one of image, "),
        (["inputs"], [EXAMPLE["inputs"][0]] * 2, "inputs: expected names that differ"),
        (["inputs"], [3], "inputs[0]: expected an object, got 3"),
        (["outputs", 0, "dtype"], "str", "result.outputs.scores: expected one of"),
        (["variants"], [], "variants: expected at least one variant"),
        (["variants"], EXAMPLE["variants"] * 2, "variants: expected names that differ"),
        (["variants", 0, "tolerance"], {}, "variants[0].tolerance: expected one each for probabilities"),
        (["variants", 0, "tolerance", "probabilities", "atol"], -1, "probabilities.atol: expected a number from 0 up"),
        (["variants", 0, "tolerance", "probabilities", "atol"], 10**400, "atol: expected a number from 0 up"),
        (["variants", 0, "file"], "x.onnx", "variants[0].file: expected an entry of files"),
        (["variants", 0, "weights"], ["weights/9.bin"], "variants[0].weights[0]: expected an entry of files"),
        (["variants", 0, "features"], ["vnni", 3], "variants[0].features[1]: expected a string"),
        (["variants", 0, "graph_optimization"], "some", "graph_optimization: expected one of disabled, "),
        (["result", "outputs"], {"scores": "x"}, "result.outputs.scores: expected one of probabilities, got 'x'"),
        (["result", "outputs"], {}, "result.outputs.scores: expected one of probabilities, got None"),
        (["result", "type"], "clairvoyance", "result.type: expected one of classification"),
        (["result", "labels"], "x.txt", "result.labels: expected an entry of files"),
        (["pipeline", "file"], "x.json", "pipeline.file: expected an entry of files"),
        (["health", "file"], "x.onnx", "health.file: expected an entry of files"),
        (["stream"], {**STREAM, "input": "x"}, "stream.input: expected one of input, got 'x'"),
        (["stream"], {**STREAM, "state": {"x": "probabilities"}}, "stream.state: expected one of input, got 'x'"),
        (["stream"], {**STREAM, "state": {"input": "x"}}, "stream.state.input: expected one of probabilities, got 'x'"),
        (["session", "memory"], "none", "session.memory: expected one of fast, small"),
        (["session", "providers"], [], "session.providers: expected at least one provider"),
        (["session", "config", "x"], 1, "session.config.x: expected a string, got 1"),
        (["created_with", "x"], 1, "created_with.x: expected a string"),
        (["golden", "origin"], "heaven", "golden.origin: expected one of data, generated"),
    ],
)
def test_a_field_that_contradicts_is_named(path, value, message):
    with pytest.raises(BundleError) as caught:
        Manifest.parse(changed(path, value))
    assert str(caught.value).startswith("manifest.json: ")
    assert message in str(caught.value)


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
    assert manifest.inputs[0].media.color == "grey"


def test_another_schema_says_what_mends_it():
    with pytest.raises(BundleError, match=r"of schema 3, this runtime knows 2; pip install -U edgeonnx-runtime"):
        Manifest.parse({"schema": 3})
    with pytest.raises(BundleError, match=r"of schema 1, this runtime knows 2; package the model again"):
        Manifest.parse({"schema": 1})


def test_a_stream_round_trips():
    manifest = Manifest.parse(changed(["stream"], {**STREAM, "state": {"input": "probabilities"}}))
    assert dict(manifest.stream.state) == {"input": "probabilities"}
    assert Manifest.parse(manifest.to_dict()) == manifest


def test_media_say_only_what_is_so():
    media = {"type": "audio", "rate": 16000, "channels": 2}
    spec = {"name": "input", "dtype": "float32", "shape": ["samples", 2], "media": media}
    manifest = Manifest.parse(changed(["inputs"], [spec]))
    assert manifest.inputs[0].media == Media("audio", rate=16000, channels=2)
    assert manifest.to_dict()["inputs"] == [spec]
