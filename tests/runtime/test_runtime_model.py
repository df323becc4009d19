import threading

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto
from PIL import Image
from runtime_bundles import golden_outputs, identity_model, kinds_model, picture_model, write_bundle

import edgeonnx.runtime as er
from edgeonnx.runtime import BundleError, Classification, Guess, InputError


def test_the_public_names_are_these():
    assert er.__all__ == [
        "BundleError",
        "Classification",
        "Detected",
        "Detection",
        "DeviceError",
        "EdgeonnxError",
        "Embedding",
        "Guess",
        "HealthReport",
        "Heard",
        "InputError",
        "InputHealth",
        "InputHealthWarning",
        "Listener",
        "Model",
        "Segmentation",
        "SelftestError",
        "Share",
        "SignatureError",
        "Stats",
        "Timing",
        "__version__",
        "load",
    ]
    assert all(hasattr(er, name) for name in er.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        er.nothing  # noqa: B018


@pytest.fixture(scope="module")
def add(add_bundle):
    return er.load(add_bundle)


@pytest.fixture(scope="module")
def clothes(fashion):
    return er.load(fashion)


def ones(n=1, dtype=np.float32):
    return np.ones((n, 3), dtype)


def refuse(call, *parts):
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_attributes(add, add_bundle):
    assert [spec.name for spec in add.inputs] == ["a", "b"]
    assert add.outputs[0].shape == ("batch", 3)
    assert add.labels is None
    assert add.path == str(add_bundle)
    assert add.manifest.target == "desktop"
    assert isinstance(add.session, ort.InferenceSession)
    assert 0 < add.load_seconds < 60
    assert "test 1 for desktop" in repr(add)


def test_run(add):
    outputs = add.run({"a": ones(4), "b": 2 * ones(4)})
    assert list(outputs) == ["total"]
    np.testing.assert_array_equal(outputs["total"], 3 * ones(4))


def test_call_by_name(add):
    np.testing.assert_array_equal(add(b=ones(), a=ones())["total"], 2 * ones())


def test_run_takes_arrays_that_are_not_contiguous(add):
    wide = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(
        add.run({"a": wide[:, ::2], "b": wide[:, ::-2]})["total"], wide[:, ::2] + wide[:, ::-2]
    )


def test_run_leaves_its_inputs_alone(add):
    feed = {"a": ones(), "b": ones()}
    for array in feed.values():
        array.flags.writeable = False
    add.run(feed)
    np.testing.assert_array_equal(feed["a"], ones())


def test_wrong_names(add):
    refuse(lambda: add.run({"a": ones()}), "expected the inputs a, b; got a")
    refuse(lambda: add.run({"a": ones(), "c": ones()}), "expected the inputs a, b; got a, c")
    refuse(lambda: add.run({"a": ones(), "b": ones(), "c": ones()}), "expected the inputs a, b; got a, b, c")
    refuse(lambda: add.run({}), "got none")
    refuse(lambda: add.run(ones()), "run() takes a dict of arrays by input name, got ndarray")
    refuse(lambda: add(ones()), "expected model(a=..., b=...), got 1 inputs of which one has no name")
    refuse(lambda: add(a=ones()), "expected the inputs a, b; got a")
    refuse(add, "expected the inputs a, b; got none")


def test_wrong_dtype_names_the_cure(add):
    refuse(
        lambda: add.run({"a": ones(dtype=np.float64), "b": ones()}),
        'input a: expected float32, got float64; x.astype("float32")',
    )
    refuse(lambda: add.run({"a": ones().astype(">f4"), "b": ones()}), "expected float32, got >f4")
    refuse(lambda: add.run({"a": [[1.0, 2.0, 3.0]], "b": ones()}), 'got list; np.asarray(x, dtype="float32")')
    refuse(lambda: add.run({"a": None, "b": ones()}), "got NoneType")


def test_wrong_shape(add):
    refuse(
        lambda: add.run({"a": np.ones(3, np.float32), "b": ones()}),
        "input a: expected shape (batch, 3), got (3); x[None]",
    )
    refuse(
        lambda: add.run({"a": ones(), "b": np.ones((1, 4), np.float32)}),
        "input b: expected shape (batch, 3), got (1, 4)",
    )
    refuse(lambda: add.run({"a": ones()[None], "b": ones()}), "got (1, 1, 3)")


def test_what_onnxruntime_refuses_is_an_input_error(add):
    refuse(lambda: add.run({"a": ones(2), "b": ones(3)}), "onnxruntime could not run these inputs: ")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(tmp_path, kind, value):
    path = write_bundle(tmp_path / "a.edge", identity_model(kind, ["n", 3]))
    model = er.load(path)
    x = np.ones((4, 3), np.float32 if kind == TensorProto.FLOAT else np.float16)
    x[0, 0], x[1, 1] = -x[0, 0], np.finfo(x.dtype).max  # whose square overflows, and is a number
    np.testing.assert_array_equal(model(x)["y"], x)
    x[2, 1] = x[3, 0] = value
    refuse(lambda: model(x), "input x: expected finite numbers, got 2 of 12", f"the first {value} at [2, 1]")
    refuse(lambda: model(np.asfortranarray(x)), "got 2 of 12", f"the first {value} at [2, 1]")
    np.testing.assert_array_equal(er.load(path, check_values=False)(x)["y"], x)


def test_an_empty_input_and_a_scalar_have_values_too(tmp_path):
    model = er.load(write_bundle(tmp_path / "a.edge", identity_model(TensorProto.FLOAT, ["n"])))
    assert model(np.zeros(0, np.float32))["y"].shape == (0,)
    scalar = er.load(write_bundle(tmp_path / "b.edge", identity_model(TensorProto.FLOAT, [])))
    refuse(lambda: scalar(np.array(np.nan, np.float32)), "got 1 of 1 that are not, the first nan;")


def may_miss(manifest, _):
    manifest["inputs"][0]["missing"] = True


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_nan_stands_for_what_is_missing_where_the_bundle_says_so(tmp_path, kind):
    model = er.load(write_bundle(tmp_path / "a.edge", identity_model(kind, [3]), change=may_miss))
    x = np.array([1, np.nan, 2], np.float32 if kind == TensorProto.FLOAT else np.float16)
    np.testing.assert_array_equal(model(x)["y"], x)
    x[2] = np.inf
    refuse(lambda: model(x), "got 1 of 3 that are not, the first inf at [2]")


def test_nan_in_a_table_stands_for_what_is_missing(tmp_path):
    media = {"type": "table", "columns": ["age", "height"]}
    proto = identity_model(TensorProto.FLOAT, [1, 2])
    model = er.load(write_bundle(tmp_path / "a.edge", proto, media=media, change=may_miss))
    np.testing.assert_array_equal(model({"age": 3, "height": None})["y"], np.array([[3, np.nan]], np.float32))
    np.testing.assert_array_equal(model({"x": np.ones((1, 2), np.float32)})["y"], np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(model(np.ones((1, 2), np.float32))["y"], np.ones((1, 2), np.float32))
    refuse(lambda: model({"age": 3, "hight": 2}), "hight")
    (tmp_path / "row.csv").write_text("height,age\n2,3\n")
    np.testing.assert_array_equal(model(tmp_path / "row.csv")["y"], np.array([[3, 2]], np.float32))


def test_strings_booleans_integers_and_a_scalar(tmp_path):
    model = er.load(write_bundle(tmp_path / "kinds.edge", kinds_model()))
    feed = {
        "words": np.array(["Größe", ""]),
        "flags": np.array([True, False]),
        "ids": np.array([[1, 2, 2**62]]),
        "scale": np.array(0.5, np.float32),
    }
    outputs = model.run(feed)
    assert outputs["words_out"].tolist() == ["Größe", ""]
    assert outputs["flags_out"].tolist() == [True, False]
    assert outputs["ids_out"].tolist() == [[1, 2, 2**62]]
    assert outputs["scale_out"] == np.float32(0.5)
    assert model.run({**feed, "words": np.array(["a", "b"], object)})["words_out"].tolist() == ["a", "b"]
    refuse(lambda: model.run({**feed, "words": np.array(["a", None], object)}), "input words: expected str, got object")
    refuse(lambda: model.run({**feed, "words": np.array([b"a"])}), "expected str, got |S1")
    refuse(lambda: model.run({**feed, "flags": np.array([1, 0])}), 'x.astype("bool")')
    refuse(lambda: model.run({**feed, "ids": np.array([[1]], np.int32)}), "expected int64, got int32")
    refuse(lambda: model.run({**feed, "scale": np.float32(0.5)}), "expected a numpy array of float32, got float32")
    refuse(lambda: model.run({**feed, "scale": np.ones(1, np.float32)}), "expected shape (), got (1)")


def test_threads_may_share_a_model(add):
    wrong = []

    def work(value):
        feed = {"a": ones() * value, "b": ones()}
        wrong.extend(value for _ in range(200) if (add.run(feed)["total"] != value + 1).any())

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_classification(clothes):
    x = np.random.default_rng(5).integers(0, 256, (9, 7, 1)).astype(np.uint8)
    result = clothes(x)
    (logits,) = golden_outputs(picture_model(), {"input": x})
    best = int(logits.argmax())
    assert isinstance(result, Classification)
    assert (result.index, result.label, result.score) == (best, clothes.labels[best], float(logits.max()))
    assert [guess.score for guess in result.top] == sorted(logits[0].tolist(), reverse=True)[:2]
    assert result.top[0] == Guess(result.label, result.index, result.score)
    np.testing.assert_array_equal(result.outputs["logits"], logits)
    assert str(result) == f"{result.label} ({result.score:.2f})"
    with pytest.raises(AttributeError):
        result.label = "x"


def scores_model(folder, kind, shape, **options):
    def change(manifest, entries):
        labels = options.get("labels")
        manifest["result"] = {"type": "classification", "outputs": {"scores": "y"}, "labels": labels, "top_k": 5}
        if labels:
            entries[labels] = options["text"]
            size = len(options["text"])
            import hashlib

            manifest["files"][labels] = {"bytes": size, "sha256": hashlib.sha256(options["text"]).hexdigest()}

    return er.load(write_bundle(folder / "scores.edge", identity_model(kind, shape), change=change))


def test_ties_unsigned_scores_and_no_labels(tmp_path):
    model = scores_model(tmp_path, TensorProto.UINT8, ["n"])
    result = model(np.array([0, 255, 7, 255], np.uint8))
    assert [guess.index for guess in result.top] == [1, 3, 2, 0]
    assert result.label is None
    assert str(result) == "class 1 (255.00)"


def test_classification_of_a_batch_says_run(tmp_path):
    model = scores_model(tmp_path, TensorProto.FLOAT, ["n", 3])
    assert model(ones(1)).index == 0
    for n in (0, 2):
        refuse(lambda n=n: model(ones(n)), "expected the scores of 1 sample", "use run() for a batch")


def test_classification_of_a_scalar_or_nan(tmp_path):
    refuse(lambda: scores_model(tmp_path, TensorProto.FLOAT, [])(np.array(1, np.float32)), "scores of 1 sample")
    outputs = {"y": np.array([0, np.nan, 1], np.float32)}
    refuse(lambda: scores_model(tmp_path, TensorProto.FLOAT, [3]).read(outputs), "NaN")


def test_labels(tmp_path):
    options = {"labels": "names.txt"}
    model = scores_model(tmp_path, TensorProto.FLOAT, [3], text="a\r\nb c\u2028d\nß\n".encode(), **options)
    assert model.labels == ("a", "b c\u2028d", "ß")
    with pytest.raises(BundleError, match="y has 3 classes, the labels are 2"):
        scores_model(tmp_path, TensorProto.FLOAT, [3], text=b"a\nb", **options)
    with pytest.raises(BundleError, match=r"names\.txt is not UTF-8"):
        scores_model(tmp_path, TensorProto.FLOAT, [3], text=b"\xff\n", **options)
    free = scores_model(tmp_path, TensorProto.FLOAT, ["n"], text=b"a\nb", **options)
    with pytest.raises(BundleError, match="y has 4 classes, the labels are 2"):
        free(np.ones(4, np.float32))


def test_a_picture_by_path(clothes, picture):
    rgb = Image.open(picture)
    expected = clothes(np.asarray(rgb.convert("L"))[:, :, None])
    assert clothes(picture).score == expected.score
    assert clothes(str(picture)).score == expected.score
    assert clothes(input=str(picture)).score == expected.score


@pytest.mark.parametrize("image", ["rgb", "bgr"])
def test_colour_pictures(tmp_path, picture, image):
    model = er.load(write_bundle(tmp_path / "c.edge", picture_model(3), media={"type": "image", "color": image}))
    rgb = np.asarray(Image.open(picture))
    x = rgb if image == "rgb" else np.ascontiguousarray(rgb[:, :, ::-1])
    np.testing.assert_array_equal(model(picture)["logits"], golden_outputs(picture_model(3), {"input": x})[0])


def test_an_array_by_path(clothes, tmp_path):
    x = np.random.default_rng(5).integers(0, 256, (9, 7, 1)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    assert clothes(tmp_path / "x.npy").score == clothes(x).score
    np.save(tmp_path / "flat.npy", x[:, :, 0])
    refuse(lambda: clothes(tmp_path / "flat.npy"), "expected shape (height, width, 1), got (9, 7)")
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    refuse(lambda: clothes(tmp_path / "objects.npy"), "objects.npy is not a readable .npy file")
    (tmp_path / "short.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-3])
    refuse(lambda: clothes(tmp_path / "short.npy"), "short.npy is not a readable .npy file")
    refuse(lambda: clothes(tmp_path / "none.npy"), "none.npy: No such file")


def test_a_picture_of_the_wrong_size(tmp_path, picture):
    model = er.load(
        write_bundle(tmp_path / "c.edge", picture_model(1, 20, 28), media={"type": "image", "color": "grey"})
    )
    refuse(lambda: model(picture), "shirt.png: expected a picture 28 pixels wide, got 30")


def test_a_picture_where_none_is_taken(tmp_path, picture):
    model = er.load(write_bundle(tmp_path / "c.edge", picture_model()))
    refuse(lambda: model(picture), "the bundle was packaged without preprocessing of files")


def test_a_jpeg(clothes, picture, tmp_path):
    Image.open(picture).save(tmp_path / "x.jpg")
    refuse(lambda: clothes(tmp_path / "x.jpg"), "x.jpg is a JPEG; this runtime reads PNG: decode it yourself")
    refuse(lambda: clothes(tmp_path / "none.png"), "none.png: No such file")
    refuse(lambda: clothes(tmp_path), "Is a directory")


def test_a_picture_without_pixels_is_refused(tmp_path):
    media = {"type": "image", "color": "rgb"}
    proto = identity_model(TensorProto.UINT8, ["height", "width", 3])
    model = er.load(write_bundle(tmp_path / "a.edge", proto, media=media))
    refuse(lambda: model(np.zeros((0, 5, 3), np.uint8)), "input x: expected a picture, got one without pixels")


def test_a_node_may_say_why_it_fails_and_nothing_is_written_beside_the_error(tmp_path, capfd):
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (int64[N] i) => (float[N] y) '
        "<float[2] t = {1, 2}> { y = Gather(t, i) }"
    )
    proto.graph.node[0].name = "pipeline.input.row.7: column grade holds none of its words"
    model = er.load(write_bundle(tmp_path / "a.edge", proto))
    with pytest.raises(er.InputError) as caught:
        model(np.array([7]))
    assert str(caught.value) == "column grade holds none of its words"
    assert capfd.readouterr().err == ""
